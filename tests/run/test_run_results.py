"""What a run leaves behind: hooks called, gates judged, raw data that can be read without harness."""

import json

import numpy as np
import pytest

LATENCY = """
[[bench]]
models = ["mean", "other"]
latency = [{ batch = [1, 4], min_queries = 70, min_duration_s = 0.0, max_warmup_s = 0.1 }]
"""
KEY = "accuracy/colors/mean/fp32/logged"


def gate(**keys):
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"cell": "accuracy/*", "metric": "top@1", **keys}.items()]
    return "[[gates]]\n" + "\n".join(lines) + "\n"


def test_hooks_are_called_in_order(lab):
    outcome = lab.run()
    assert (outcome.directory / "hooks.txt").read_text().splitlines() == [
        "started 1", f"cell {KEY} ok", "finished 1 True"]
    assert lab.watcher.warnings == []


def test_hooks_get_the_params_of_datasets_with_paths_and_what_they_derive(lab, monkeypatch):
    contexts = []
    monkeypatch.setattr("harness.run._notify", lambda host, hook, context, observer: contexts.append(context))
    lab.run(lab.suite.replace("[models.mean]", """[datasets.few]
base = "colors"
count = 3
[datasets.boxes]
use = "coco"
annotations = "boxes/all.json"
images = "images"
[datasets.cats]
base = "boxes"
categories = ["cat"]
[models.mean]""") + lab.bench)
    assert len(contexts) == 3
    for context in contexts:
        assert (context.datasets["colors"].count, context.datasets["few"].count) == (12, 3)
        assert context.datasets["cats"].annotations == lab.folder / "boxes" / "all.json"
        assert context.datasets["cats"].categories == ["cat"]


def test_a_hook_that_fails_is_a_warning(lab, monkeypatch):
    monkeypatch.setenv("LAB_HOOKS_RAISE", "1")
    outcome = lab.run()
    assert outcome.exit_code == 0
    assert len(lab.watcher.warnings) == 3
    assert lab.watcher.warnings[0] == ("plugin lab (lab-harness 1.0): harness_run_started failed: ConnectionError: "
                                       "the dashboard is away")


@pytest.mark.parametrize(("condition", "code", "word"), [
    ({"min": 0.5}, 0, None),
    ({"min": 1.01}, 1, None),
    ({"max": 0.5}, 1, None),
    ({"metric": "top@7", "min": 0.0}, 1, 'no value "top@7"'),
    ({"cell": "accuracy/elsewhere/*", "min": 0.0}, 1, "no cell matches"),
])
def test_gates_decide_the_exit_code(lab, condition, code, word):
    outcome = lab.run(lab.suite + lab.bench + gate(**condition))
    (result,) = outcome.results.gates
    assert (outcome.exit_code, result.passed) == (code, code == 0)
    assert word is None or word in result.reason
    assert lab.results().gates == [result]


def test_a_gate_on_a_cell_that_failed_fails(lab):
    (lab.folder / "mean.onnx").unlink()
    outcome = lab.run(lab.suite + lab.bench + gate(min=0.0))
    assert outcome.exit_code == 3
    assert outcome.results.gates[0].reason == "only failed cells match"


def test_regression_against_an_earlier_run(lab):
    before = lab.run(output="before").results.cells[0].metrics["top@1"].value
    text = lab.suite.replace('name = "lab"', 'name = "lab"\nbaseline = "before"') + lab.bench
    assert lab.run(text + gate(max_regression="0%")).exit_code == 0
    lab.classifier("mean", bias=9.0)
    outcome = lab.run(text + gate(max_regression="5%"))
    assert outcome.exit_code == 1
    assert outcome.results.gates[0].value == pytest.approx(1 - 4 / 12 / before)


def test_a_missing_baseline_is_found_before_anything_is_measured(lab):
    from harness.errors import UsageError

    text = lab.suite.replace('name = "lab"', 'name = "lab"\nbaseline = "nowhere"') + lab.bench
    with pytest.raises(UsageError, match="nowhere.*no results of a finished run"):
        lab.run(text + gate(max_regression="0%"))
    assert lab.forward_passes == 0


def test_latencies_are_relative_to_the_reference(lab):
    text = lab.suite.replace('name = "lab"', 'name = "lab"\nreference = "latency/other/fp32/onnxruntime-cpu/'
                             'single-stream-b1-t1"') + lab.bench + lab.other + LATENCY
    outcome = lab.run(text)
    found = {cell.key: cell.latency for cell in outcome.results.cells if cell.latency}
    assert len(found) == 4
    base = found["latency/other/fp32/onnxruntime-cpu/single-stream-b1-t1"]
    assert base.ratio == 1.0
    for latency in found.values():
        each = [ours / theirs for ours, theirs in zip(latency.rounds, base.rounds, strict=True)]
        assert min(each) <= latency.ratio_ci[0] <= latency.ratio <= latency.ratio_ci[1] <= max(each)
        assert (latency.session, len(latency.rounds)) == (base.session, 15)
        assert latency.noisy in (True, False)
        assert latency.n >= 70
        assert latency.p90_ms >= latency.p50_ms
        assert (latency.p95_ms, latency.p99_ms) == (None, None) or latency.n >= 130
        assert "p99 needs 662" in (latency.why or "") or latency.n >= 662


def test_with_wildcards_each_model_is_relative_to_its_own_reference(lab):
    text = lab.suite.replace('name = "lab"', 'name = "lab"\nreference = "latency/*/single-stream-b1-t1"')
    outcome = lab.run(text + lab.bench + lab.other + LATENCY)
    found = {(cell.model, cell.latency.batch): cell.latency for cell in outcome.results.cells if cell.latency}
    models = {model for model, _ in found}
    assert len(models) == 2
    assert [found[model, 1].ratio for model in models] == [1.0, 1.0]
    for (model, _), latency in found.items():
        base = found[model, 1]
        each = [ours / theirs for ours, theirs in zip(latency.rounds, base.rounds, strict=True)]
        assert min(each) <= latency.ratio <= max(each)


def test_rows_are_plain_arrays_with_one_row_per_sample(lab):
    outcome = lab.run((lab.suite + lab.bench).replace('use = "lab-colors"', 'use = "lab-colors"\nunreadable = [3]'))
    (cell,) = outcome.results.cells
    assert cell.files["rows.top"] == f"rows/{KEY.replace('/', '--')}/top.npz"
    with np.load(outcome.directory / cell.files["rows.top"], allow_pickle=False) as archive:
        assert {name: len(archive[name]) for name in archive.files} == {"rank": 11}
        assert (archive["rank"] == 0).mean() == cell.metrics["top@1"].value


def test_latency_samples_are_raw_nanoseconds(lab):
    outcome = lab.run(lab.suite + lab.other + LATENCY)
    for cell in outcome.results.cells:
        with np.load(outcome.directory / cell.files["samples"], allow_pickle=False) as archive:
            samples, rounds = archive["nanoseconds"], archive["round"]
        assert rounds.tolist() == sorted(rounds)
        medians = [np.median(samples[rounds == index]) / 1e6 for index in range(15)]
        assert medians == pytest.approx(cell.latency.rounds)
        assert samples.dtype == np.int64
        assert len(samples) == cell.latency.n
        assert samples.mean() / 1e6 == pytest.approx(cell.latency.mean_ms)
        assert np.sort(samples)[len(samples) // 2] / 1e6 == pytest.approx(cell.latency.p50_ms)


def test_thumbnails_show_prediction_and_target(lab):
    outcome = lab.run((lab.suite + lab.bench).replace('use = "lab-colors"',
                                                      'use = "lab-colors"\ncount = 60\nunreadable = [0]'))
    (cell,) = outcome.results.cells
    folder = outcome.directory / cell.files["thumbnails"]
    index = json.loads((folder / "index.json").read_text())
    assert 20 <= len(index) <= 24
    assert index[-1]["id"] == "square-59"  # the last of 59 rows; row 0 is square-1
    assert index[0]["id"] == "square-1"
    assert all(entry["scores"].keys() == {"top@1", "top@2"} for entry in index if entry["scores"])
    assert any(entry["scores"] == {"top@1": 0.0, "top@2": 1.0} for entry in index)
    scored = json.loads((outcome.directory / cell.files["scores"]).read_text())
    assert {entry["id"]: entry["top@1"] for entry in scored}.items() >= {
        entry["id"]: entry["scores"]["top@1"] for entry in index if entry["scores"]}.items()
    assert "square-0" not in {entry["id"] for entry in index}
    for entry in index:
        assert (folder / entry["file"]).is_file()
        assert entry["target"] == {"label": ("red", "green", "blue")[int(entry["id"].split("-")[1]) % 3]}
        best = entry["prediction"]["logits"]
        assert [set(item) for item in best] == [{"class", "label", "probability"}] * 3
        assert sum(item["probability"] for item in best) == pytest.approx(1, abs=1e-4)


def test_peak_memory_is_known_where_a_fresh_process_measured_it(lab):
    assert lab.run().results.cells[0].cost.peak_rss_mb is None
    peak = lab.run(output="local", executor="local", fresh=True).results.cells[0].cost.peak_rss_mb
    assert peak is None or 20 < peak < 4000


def test_the_file_tells_the_whole_story(lab):
    outcome = lab.run(lab.suite + lab.bench + gate(min=0.0))
    found = json.loads((outcome.directory / "results.json").read_text())
    assert found["schema"] == 1
    assert found["suite"]["suite"] == {"name": "lab"}
    assert found["suite"]["path"] == str(lab.folder / "suite.toml")
    assert {"name": "lab", "distribution": "lab-harness", "version": "1.0"} in found["plugins"]
    assert found["environment"]["packages"]["numpy"] == np.__version__
    (cell,) = found["cells"]
    assert cell["runs_on"] == "CPUExecutionProvider"
    assert cell["provider"].startswith("onnx (vision-harness ")
    assert cell["cost"]["model_mb"] == pytest.approx((lab.folder / "mean.onnx").stat().st_size / 1e6, abs=1e-3)
    assert cell["cost"]["seconds"] > 0
    assert found["cells"] == [json.loads(line) for line in lab.lines()]
    assert lab.results() == outcome.results


def test_two_tables_that_ask_for_one_cell_share_it(lab):
    outcome = lab.run(lab.suite + lab.bench + lab.bench.replace('metrics = ["top"]', 'metrics = ["nll", "top"]'))
    (cell,) = outcome.results.cells
    assert {"top@1", "nll"} <= set(cell.metrics)
    assert lab.forward_passes == 12


def test_only_some_cells(lab):
    outcome = lab.run(lab.suite + lab.bench + lab.other + LATENCY, only=["accuracy/*"])
    assert [cell.key for cell in outcome.results.cells] == [KEY]
