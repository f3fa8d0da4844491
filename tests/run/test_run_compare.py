"""Two runs beside each other: what is found, what is refused, and what the exit code says."""

import json
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.compare import latency
from harness.compare.runs import Run
from harness.compare.table import compare
from harness.compare.wording import markdown, summary
from harness.errors import UsageError
from harness.host import Host

KEY = "accuracy/colors/mean/fp32/logged"
LATENCY = "latency/mean/fp32/onnxruntime-cpu/single-stream-b1-t1"
TIMED = """
[[bench]]
models = ["mean"]
latency = [{ min_queries = 90, min_duration_s = 0.0, max_warmup_s = 0.1 }]
"""


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(latency, "_MOST_ROUNDS", 20)


@pytest.fixture
def runs(lab):
    """runs(a=..., b=...): two runs of changed suites, read."""
    text = lab.suite.replace('use = "lab-colors"', 'use = "lab-colors"\ncount = 120') + lab.bench + TIMED

    def make(change_a=lambda text: text, change_b=lambda text: text, bias=0.0):
        lab.run(change_a(text), output="a", fresh=True)
        if bias:
            lab.classifier("mean", bias=bias)
        lab.run(change_b(text), output="b", fresh=True)
        host = Host.discover()
        return tuple(Run.read(lab.folder / name, host) for name in ("a", "b"))

    return make


def by_metric(comparison, cell=KEY):
    return {row.metric: row for row in comparison.rows if row.cell == cell}


def swap(old, new):
    def change(text):
        assert old in text
        return text.replace(old, new)

    return change


def test_a_run_with_itself(runs):
    a, b = runs()
    found = compare(a, b)
    rows = by_metric(found)
    assert {row.verdict for row in rows.values()} == {"no difference"}
    assert all((row.p, row.change) == (1.0, 0.0) for row in rows.values())
    timed = by_metric(found, LATENCY)["p50_ms"]
    assert (timed.verdict, timed.p) == ("advisory", None)
    assert timed.ci[0] <= timed.change <= timed.ci[1]
    assert found.unmatched == {}


def test_a_worse_model_is_a_regression(runs):
    a, b = runs(bias=9.0)
    rows = by_metric(compare(a, b))
    lost = rows["top@1"]
    assert lost.verdict == "regression"
    assert lost.test == "McNemar"
    assert lost.change == b.cells[KEY].metrics["top@1"].value - a.cells[KEY].metrics["top@1"].value < 0
    assert lost.ci[0] <= lost.change <= lost.ci[1] < 0
    assert lost.loss == pytest.approx(-lost.change / lost.a)
    assert by_metric(compare(a, b, tolerance=lost.loss + 0.01))["top@1"].verdict == "no difference"
    assert by_metric(compare(b, a))["top@1"].verdict == "improvement"


@pytest.mark.parametrize(("change", "reason"), [
    (swap("count = 120", "count = 119"), 'the dataset "colors" has other parameters'),
    (swap("count = 120", "count = 120\nunreadable = [7]"), "other samples (120 in A, 119 in B, 119 in both)"),
    (swap("k = [1, 2]", "k = [1, 3]"), 'the metric "top" has other parameters'),
    (swap("min_queries = 90", "min_queries = 91"), "the scenario has other parameters"),
])
def test_what_is_refused_and_forced(runs, change, reason):
    a, b = runs(change_b=change)
    with pytest.raises(UsageError, match="--force") as refused:
        compare(a, b)
    assert reason in str(refused.value)
    found = compare(a, b, force=True)
    assert any(reason in warning for warning in found.warnings)
    assert by_metric(found)["top@1"].p == 1.0  # on the samples that both have


def test_other_machines_are_refused_for_latency_only(runs):
    a, b = runs()
    b.results.environment["cpu"] = "Z80"
    with pytest.raises(UsageError, match="latencies of different machines: cpu .* and Z80"):
        compare(a, b)
    assert compare(a, b, only=["accuracy/*"]).rows
    assert compare(a, b, rerun=True).rows


def test_other_conventions_are_refused(runs):
    a, b = runs()
    cell = b.results.cells[0]
    metric = cell.metrics["top@1"].model_copy(update={"convention": "top50"})
    changed = cell.model_copy(update={"metrics": {**cell.metrics, "top@1": metric}})
    other = Run(b.path, b.results.model_copy(update={"cells": [changed]}), b.host)
    with pytest.raises(UsageError, match='top@1 has convention "" in A and "top50" in B'):
        compare(a, other)


def test_without_rows_only_values_are_shown(runs, lab):
    _, b = runs(bias=9.0)
    (lab.folder / "a.json").write_text((lab.folder / "a/results.json").read_text())
    found = compare(Run.read(lab.folder / "a.json", Host.discover()), b)
    row = by_metric(found)["top@1"]
    assert (row.p, row.verdict, row.note) == (None, "not tested", "no rows of the same samples beside the results")
    assert row.change < 0


def test_cells_without_a_counterpart_are_named(runs):
    a, b = runs(change_b=swap('backends = ["logged"]', 'backends = ["onnxruntime-cpu"]'))
    found = compare(a, b)
    assert found.unmatched == {KEY: "missing in B", KEY.replace("logged", "onnxruntime-cpu"): "missing in A"}
    with pytest.raises(UsageError, match="no successful cell in common that matches --only"):
        compare(a, b, only=["accuracy/*"])


def test_measured_again_side_by_side(runs):
    a, b = runs()
    row = by_metric(compare(a, b, rerun=True), LATENCY)["p50_ms"]
    assert row.test == "signed-rank"
    assert row.n == 20
    assert 0 <= row.p <= row.p_adjusted <= 1
    assert row.ci[0] <= row.change <= row.ci[1]
    assert row.minimum_detectable > 0


def slow(lab):
    """slow.onnx beside mean.onnx: another classifier, with a wide convolution."""
    weights = np.zeros((64, 3, 7, 7), np.float32)
    nodes = [helper.make_node("Conv", ["image", "w"], ["wide"], pads=[3, 3, 3, 3]),
             helper.make_node("GlobalAveragePool", ["wide"], ["pooled"]),
             helper.make_node("Flatten", ["pooled"], ["flat"]),
             helper.make_node("Gather", ["flat", "three"], ["logits"], axis=1)]
    graph = helper.make_graph(
        nodes, "slow", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.arange(3), "three")])
    lab.save(graph, "slow.onnx")


def test_a_slower_export_is_found(runs, lab):
    lab.classifier("fast")
    slow(lab)
    a, b = runs(swap('path = "mean.onnx"', 'path = "fast.onnx"'), swap('path = "mean.onnx"', 'path = "slow.onnx"'))
    row = by_metric(compare(a, b, rerun=True, only=["latency/*"]), LATENCY)["p50_ms"]
    assert row.verdict == "regression"
    assert row.ci[0] > 1


GATE = """
[[gates]]
cell = "latency/*"
metric = "p50_ms"
max_regression = "40%"
"""


def test_a_gate_measures_the_baseline_again(lab):
    slow(lab)
    lab.run(lab.suite + TIMED, output="before")
    text = lab.suite.replace('name = "lab"', 'name = "lab"\nbaseline = "before"') + TIMED + GATE
    outcome = lab.run(text)
    (same,) = outcome.results.gates
    assert (outcome.exit_code, same.passed) == (0, True), same
    worse = lab.run(text.replace('path = "mean.onnx"', 'path = "slow.onnx"'), fresh=True)
    (gate,) = worse.results.gates
    assert (worse.exit_code, gate.passed) == (1, False)
    assert gate.value > 1
    assert "times the baseline measured beside it" in gate.reason


def test_a_gate_without_the_export_of_its_baseline_fails(lab):
    lab.run(lab.suite + TIMED, output="before")
    lab.classifier("mean", bias=1.0)
    text = lab.suite.replace('name = "lab"', 'name = "lab"\nbaseline = "before"') + TIMED + GATE
    outcome = lab.run(text)
    assert outcome.exit_code == 1
    assert "is not the file that was measured" in outcome.results.gates[0].reason


def test_a_gate_does_not_compare_what_compare_refuses(lab, monkeypatch):
    def measured(*_):
        raise AssertionError("nothing is to be measured again")

    monkeypatch.setattr(latency, "measure_cells", measured)
    lab.run(lab.suite + lab.bench + TIMED, output="before")
    text = (lab.suite.replace('name = "lab"', 'name = "lab"\nbaseline = "before"').replace(
        'use = "lab-colors"', 'use = "lab-colors"\ncount = 11') + lab.bench + TIMED.replace("90", "91") + GATE
        + GATE.replace("latency/*", "accuracy/*").replace("p50_ms", "top@1"))
    outcome = lab.run(text)
    assert outcome.exit_code == 1
    timed, quality = outcome.results.gates
    assert timed.reason == f"can not be compared with the baseline (A): {LATENCY}: the scenario has other parameters"
    assert quality.reason.startswith(
        f'can not be compared with the baseline (A): {KEY}: the dataset "colors" has other parameters')


def test_an_export_that_has_changed_is_not_measured_again(runs):
    a, b = runs(bias=1.0)
    with pytest.raises(UsageError, match=r"run A .*mean\.onnx is not the file that was measured"):
        compare(a, b, rerun=True)


def test_markdown_names_everything(runs):
    a, b = runs(bias=9.0)
    text = markdown(compare(a, b))
    assert "| regression |" in text
    assert "advisory" in text
    assert text.splitlines()[2].startswith("1 regression") or "regressions" in text.splitlines()[2]


def lose(run, target):
    """The results of a run without its accuracy cell, which has become what the target is named."""
    results = json.loads((run / "results.json").read_text())
    cell = results["cells"].pop(0)
    assert cell["key"] == KEY
    if target.name != "missing":
        error = {"type": "CellError", "message": "no"} if target.name == "failed" else None
        results["cells"].append({**cell, "status": target.name, "error": error})
    target.mkdir()
    (target / "results.json").write_text(json.dumps(results))


def test_what_was_lost_is_said(runs, lab):
    a, b = runs()
    lose(b.path, lab.folder / "missing")
    found = compare(a, Run.read(lab.folder / "missing", a.host))
    assert summary(found).endswith("; 1 cell of A not measured in B")
    assert summary(compare(a, b)).endswith("rows")


@pytest.mark.parametrize(("arguments", "code"), [
    (("a", "a"), 0), (("a", "b"), 1), (("b", "a"), 0), (("a", "b", "--tolerance", "90%"), 0), (("a", "nowhere"), 2),
    (("a", "b", "--tolerance", "2"), 2), (("a", "failed"), 3), (("a", "skipped"), 3), (("a", "missing"), 3),
    (("missing", "a"), 0), (("a", "missing", "--only", "latency/*"), 0)])
def test_exit_codes(runs, lab, arguments, code):
    runs(bias=9.0)
    for status in ("failed", "skipped", "missing"):
        lose(lab.folder / "b", lab.folder / status)
    done = subprocess.run([sys.executable, "-m", "harness", "compare", *arguments, "--format", "json"], check=False,
                          capture_output=True, text=True, cwd=lab.folder, env=lab.environment, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 2:
        return
    found = json.loads(done.stdout)
    if code == 3:
        assert found["lost"] == {KEY: arguments[1]}
    elif "missing" not in arguments:
        assert {row["cell"] for row in found["rows"]} == {KEY, LATENCY}
        assert found["lost"] == {}
