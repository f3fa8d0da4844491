"""Suites under pytest: latency cells as benchmarks, gates as tests."""

import json

import numpy.fft  # noqa: F401  pytester forgets what its sessions import first, and this can not be loaded twice
import pytest

from harness.contracts import FinishedRun
from harness.params import Params
from harness_reports.benchmark import PytestBenchmarkReporter

TIMED = """
[[bench]]
models = ["mean"]
backends = [{backends}]
latency = [{{ batch = [1, 2], min_queries = 70, min_duration_s = 0.0, max_warmup_s = 0.1 }},
           {{ scenario = "cold-start" }}]
"""
GATES = """
[[gates]]
cell = "accuracy/*"
metric = "top@1"
min = 0.5
[[gates]]
cell = "latency/*-b1-t1"
metric = "p50_ms"
max = 1e-6
"""
KEY = "latency/mean/fp32/onnxruntime-cpu/single-stream-b{}-t1"
QUICK_FACTS = """
def pytest_benchmark_generate_machine_info():
    return {"node": "lab", "machine": "lab", "python_implementation": "CPython", "python_version": "3", "cpu": {}}
"""  # what pytest-benchmark finds out of the processor takes it a second each time
QUICK = ("--benchmark-max-time=0.02", "--benchmark-min-rounds=2")


def timed(*backends):
    return TIMED.format(backends=", ".join(f'"{name}"' for name in backends or ["onnxruntime-cpu"]))


@pytest.fixture
def run(lab, pytester, monkeypatch):
    """run(text, *arguments): pytest on a suite, in this process where nothing speaks against it."""
    for name in ("PYTHONPATH", "HARNESS_CACHE_DIR"):
        monkeypatch.setenv(name, lab.environment[name])
    (lab.folder / "conftest.py").write_text(QUICK_FACTS)

    def call(text, *arguments, named=True, isolated=False):
        path = lab.write(text)
        runner = pytester.runpytest_subprocess if isolated else pytester.runpytest_inprocess
        return runner(*([str(path)] if named else []), "--rootdir", str(lab.folder), *QUICK, *map(str, arguments))

    return call


def stored(lab, name="out.json"):
    return {bench["name"]: bench for bench in json.loads((lab.folder / name).read_text())["benchmarks"]}


def test_cells_are_benchmarks_and_gates_are_tests(run, lab):
    done = run(lab.suite + lab.bench + timed() + GATES, "--benchmark-json", lab.folder / "out.json", isolated=True)
    done.assert_outcomes(passed=4, failed=1)
    done.stdout.fnmatch_lines(["latency/*-b1-t1 p50_ms <= 1e-06 (is *)"])
    assert "Traceback" not in done.stdout.str()
    found = stored(lab)
    assert set(found) == {KEY.format(1), KEY.format(2), "latency/mean/fp32/onnxruntime-cpu/cold-start-b1-t1"}
    one = found[KEY.format(1)]
    assert one["group"] == "single-stream-b1-t1"
    assert one["stats"]["rounds"] >= 2
    facts = one["extra_info"]
    assert facts["key"] == KEY.format(1)
    assert (facts["model"], facts["precision"], facts["batch"]) == ("mean", "fp32", 1)
    assert len(facts["model_sha256"]) == 64
    assert found["latency/mean/fp32/onnxruntime-cpu/cold-start-b1-t1"]["stats"]["median"] > one["stats"]["median"]


def test_save_compare_and_fail(run, lab):
    text = lab.suite + timed() + GATES
    out = lab.folder / "out.json"
    run(text, "--benchmark-only", "--benchmark-json", out).assert_outcomes(passed=3, skipped=2)
    same = run(text, "--benchmark-only", "--benchmark-compare", out, "--benchmark-compare-fail=median:10000%")
    same.assert_outcomes(passed=3, skipped=2)
    assert same.ret == 0
    data = json.loads(out.read_text())
    for bench in data["benchmarks"]:
        bench["stats"] = {name: value / 1e6 if isinstance(value, float) else value
                          for name, value in bench["stats"].items()}
    out.write_text(json.dumps(data))
    slower = run(text, "--benchmark-only", "--benchmark-compare", out, "--benchmark-compare-fail=median:10000%")
    assert slower.ret != 0
    assert "Performance has regressed" in slower.stdout.str() + slower.stderr.str()


def test_autosave(run, lab):
    run(lab.suite + timed(), "--benchmark-autosave", f"--benchmark-storage={lab.folder / 'saved'}")
    again = run(lab.suite + timed(), "--benchmark-compare", f"--benchmark-storage={lab.folder / 'saved'}")
    assert again.ret == 0
    again.stdout.fnmatch_lines(["*single-stream-b1-t1*(0001_*"])


def test_a_renamed_benchmark_is_an_error(run, lab):
    out = lab.folder / "out.json"
    run(lab.suite + timed(), "--benchmark-json", out)
    renamed = (lab.suite + timed()).replace("models.mean", "models.average").replace('["mean"]', '["average"]')
    done = run(renamed, "--benchmark-compare", out)
    done.assert_outcomes(passed=3)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*benchmarks without a counterpart*",
                               f"*::{KEY.format(1)}: in * and no longer in the suite; renamed?*",
                               "*latency/average/*: not in *, so nothing was compared*"])


def test_new_benchmarks_can_be_allowed_but_missing_ones_can_not(run, lab):
    out, less = lab.folder / "out.json", timed().replace("batch = [1, 2]", "batch = [1]")
    run(lab.suite + less, "--benchmark-json", out)
    assert run(lab.suite + timed(), "--benchmark-compare", out).ret == 1
    assert run(lab.suite + timed(), "--benchmark-compare", out, "--harness-allow-new").ret == 0
    run(lab.suite + timed(), "--benchmark-json", out)
    assert run(lab.suite + less, "--benchmark-compare", out, "--harness-allow-new").ret == 1


def test_selected_benchmarks_are_not_missing(run, lab):
    out = lab.folder / "out.json"
    run(lab.suite + timed(), "--benchmark-json", out)
    done = run(lab.suite + timed(), "--benchmark-compare", out, "-k", "b2")
    done.assert_outcomes(passed=1, deselected=2)
    assert done.ret == 0


def test_runs_and_pytest_can_be_compared(run, lab):
    text = lab.suite + timed()
    outcome = lab.run(text)
    (made,) = PytestBenchmarkReporter(Params()).render(FinishedRun(outcome.results)).values()
    out = lab.folder / "out.json"
    out.write_text(made)
    lenient = ("--benchmark-compare-fail=median:1000000%", "-W", "ignore:Benchmark machine_info is different")
    same = run(text, "--benchmark-compare", out, *lenient)
    assert same.ret == 0
    for bench in (data := json.loads(made))["benchmarks"]:
        bench["stats"] = {name: value / 1e6 if isinstance(value, float) else value
                          for name, value in bench["stats"].items()}
    out.write_text(json.dumps(data))
    slower = run(text, "--benchmark-compare", out, *lenient)
    assert "Performance has regressed" in slower.stdout.str() + slower.stderr.str()


def test_two_suites_of_one_name_are_not_compared(run, lab):
    out = lab.folder / "out.json"
    run(lab.suite + timed(), "--benchmark-json", out)
    (lab.folder / "twin.toml").write_text((lab.folder / "suite.toml").read_text())
    done = run(lab.suite + timed(), "--benchmark-compare", out, "--harness-suite", lab.folder / "twin.toml")
    assert done.ret == 1
    done.stdout.fnmatch_lines([f"*lab::{KEY.format(1)}: in more than one suite*"])


def test_a_gate_with_a_cell_that_failed_fails(run, lab):
    text = lab.suite + lab.other.replace("mean.onnx", "absent.onnx")
    text += lab.bench.replace('["mean"]', '["mean", "other"]')
    done = run(text + GATES.partition('[[gates]]\ncell = "latency')[0])
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*1 of 2 cells that match failed: accuracy/colors/other/fp32/logged*"])


def test_only_named_files_are_collected(run, lab, pytester):
    (lab.folder / "test_own.py").write_text("def test_own():\n    pass\n")
    (lab.folder / "other.toml").write_text("no suite at all")
    pytester.chdir()
    run(lab.suite + timed(), lab.folder, named=False).assert_outcomes(passed=1)
    both = run(lab.suite + timed(), lab.folder, "--harness-suite", lab.folder / "suite.toml", named=False)
    both.assert_outcomes(passed=4)
    missing = run(lab.suite + timed(), "--harness-suite", lab.folder / "nowhere.toml", named=False)
    assert missing.ret == pytest.ExitCode.USAGE_ERROR
    missing.stderr.fnmatch_lines(["*nowhere.toml: no such file*"])


def test_xdist_is_refused(run, lab):
    done = run(lab.suite + timed(), "-n", "2", isolated=True)
    assert done.ret != 0
    assert "latency can not be measured beside other tests: run suites without pytest-xdist (-n 0)" in \
        done.stdout.str() + done.stderr.str()
    run(lab.suite + timed(), "-n", "0").assert_outcomes(passed=3)


def test_mistakes_are_told_without_a_traceback(run, lab):
    done = run(lab.suite + timed().replace("single", "x").replace("min_queries", "min_querys"))
    assert done.ret != 0
    assert "did you mean" in done.stdout.str()
    assert "Traceback" not in done.stdout.str()
    run(lab.suite + timed(), "--benchmark-json", lab.folder / "out.json")
    (lab.folder / "good.toml").write_text((lab.folder / "suite.toml").read_text())
    broken = run((lab.suite + timed()).replace("models.mean", "models.maen"), "--harness-suite",
                 lab.folder / "good.toml", "--benchmark-compare", lab.folder / "out.json",
                 "--continue-on-collection-errors")
    broken.assert_outcomes(passed=3, errors=1)
    assert "INTERNALERROR" not in broken.stdout.str()
    assert "without a counterpart" not in broken.stdout.str()
    (lab.folder / "mean.onnx").unlink()
    gone = run(lab.suite + timed())
    gone.assert_outcomes(errors=3)
    assert "mean.onnx" in gone.stdout.str()


def test_a_backend_that_is_absent_is_skipped(run, lab):
    text = lab.suite + '[backends.absent]\nuse = "lab-absent"\nlog = "$LOG"\n' + timed("absent")
    done = run(text, "-rs")
    done.assert_outcomes(skipped=3)
    assert "it needs a machine from the future" in done.stdout.str()
