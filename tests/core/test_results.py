"""What a real run writes: valid against the committed schema, readable again, and JSON to the letter."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.results import CellResult, Cost, CurveResult, GateResult, LatencyResult, MetricResult, Results
from harness.run import RunOptions, run_suite
from harness.rundir import CELLS, RESULTS, read_results

SCHEMA = json.loads((Path(harness.__file__).parent / "data" / "results.schema.json").read_text(encoding="utf-8"))

SUITE = """\
[suite]
name = "tiny"
[datasets.spots]
use = "spots"
[datasets.gone]
use = "needy"
root = "nowhere"
[models.centroid]
use = "onnx"
path = "{model}"
task = "keypoints"
input = {{ size = [64, 64], color = "GRAY", range = [0.0, 1.0] }}
[metrics.far]
use = "distance"
scale = 2.0
[[bench]]
models = ["centroid"]
datasets = ["spots", "gone"]
metrics = ["distance", "far", "undefined"]
backends = ["onnxruntime-cpu", "onnxruntime-cuda"]
exclude = ["*/gone/*/onnxruntime-cuda"]
[[bench]]
models = ["centroid"]
latency = [{{ batch = [1, 2], min_queries = 12, min_duration_s = 0.0, max_warmup_s = 0.05 }}]
[[gates]]
cell = "accuracy/spots/*"
metric = "distance"
max = 0.01
[[gates]]
cell = "accuracy/spots/*"
metric = "undefined"
min = 0.0
[executor]
use = "inline"
"""


class Silent:
    def started(self, plan, directory, resumed): ...
    def progress(self, key, done, total): ...
    def finished(self, result): ...
    def warn(self, message): ...
    def tell(self, message): ...


@pytest.fixture
def outcome(suite, host, centroid_model, tmp_path):
    """The outcome of a run in this process, with an ok, a failed and a skipped cell."""
    read = suite(SUITE.format(model=centroid_model))
    return run_suite(read, host, RunOptions(output=tmp_path / "run"), Silent())


def refuse_constant(name):
    raise AssertionError(f"{name} is not JSON")


def strictly(text):
    return json.loads(text, parse_constant=refuse_constant)


def test_a_run_keeps_the_schema(outcome):
    data = strictly((outcome.directory / RESULTS).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    states = {cell["key"]: cell["status"] for cell in data["cells"]}
    assert states == {
        "accuracy/spots/centroid/fp32/onnxruntime-cpu": "ok",
        "accuracy/spots/centroid/fp32/onnxruntime-cuda": states["accuracy/spots/centroid/fp32/onnxruntime-cuda"],
        "accuracy/gone/centroid/fp32/onnxruntime-cpu": "failed",
        "latency/centroid/fp32/onnxruntime-cpu/single-stream-b1-t1": "ok",
        "latency/centroid/fp32/onnxruntime-cpu/single-stream-b2-t1": "ok",
    }
    assert states["accuracy/spots/centroid/fp32/onnxruntime-cuda"] in ("skipped", "ok")
    assert outcome.exit_code == 3


def test_the_numbers_are_those_of_the_spots(outcome):
    cell = outcome.results.cells[0]
    assert cell.metrics["distance"].value == pytest.approx(0, abs=1e-3)
    assert cell.metrics["distance@1"].value == 1.0
    low, high = cell.metrics["distance@1"].ci  # Wilson: 4 of 4
    assert (low, high) == (pytest.approx(4 / (4 + 1.959964**2)), 1.0)
    assert cell.metrics["far"].value == pytest.approx(2 * cell.metrics["distance"].value)
    assert (cell.metrics["distance"].n, cell.metrics["distance"].unit) == (4, "px")
    assert (cell.cost.forward_passes, cell.cached) == (4, False)
    assert cell.provider == "harness_onnx (harness_onnx 0)"


def test_no_number_is_null_everywhere(outcome):
    cell = outcome.results.cells[0]
    assert cell.metrics["undefined"].value is None
    assert cell.metrics["undefined.endless"].value is None
    assert cell.curves["undefined"].x == [0.0, 1.0, None]
    assert cell.curves["undefined"].y == [None, 0.5, None]
    gates = {gate.expression: gate.passed for gate in outcome.results.gates}
    assert gates == {"accuracy/spots/* distance <= 0.01": True, "accuracy/spots/* undefined >= 0": False}


def test_what_was_written_is_what_is_read(outcome):
    assert read_results(outcome.directory) == outcome.results
    lines = (outcome.directory / CELLS).read_text(encoding="utf-8").splitlines()
    validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": "#/$defs/CellResult", "required": [],
                                                 "properties": {}})
    for line in lines:
        validator.validate(strictly(line))
    appended = {cell.key: cell for cell in map(CellResult.model_validate_json, lines)}
    assert list(appended) == [cell.key for cell in outcome.results.cells]
    for cell in outcome.results.cells:
        assert appended[cell.key] == cell


def test_a_cell_that_failed_says_why_and_where(outcome):
    failed = next(cell for cell in outcome.results.cells if cell.status == "failed")
    assert (failed.error.type, failed.error.message) == ("DataError", "is not there")
    assert 'dataset "needy" of plugin fake_plugin' in failed.error.where
    assert (failed.metrics, failed.latency) == ({}, None)


def test_raw_data_lies_beside(outcome):
    for cell in outcome.results.cells:
        for name in cell.files.values():
            assert (outcome.directory / name).exists()


def test_the_schema_refuses_other_states_and_missing_keys(outcome):
    data = strictly(outcome.results.model_dump_json(by_alias=True))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for change in (lambda d: d.update(schema=2), lambda d: d.pop("cells"), lambda d: d["cells"][0].pop("status"),
                   lambda d: d["cells"][0].update(status="fine"), lambda d: d["cells"][0].update(key=3),
                   lambda d: d["cells"][0]["metrics"]["distance"].update(value="good"),
                   lambda d: d["cells"][0]["metrics"]["distance"].pop("ci")):
        changed = json.loads(json.dumps(data))
        change(changed)
        assert not validator.is_valid(changed)
    assert validator.is_valid({**data, "later": 1})


ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(st.none() | ANY, st.lists(ANY), ANY)
def test_any_number_survives_a_round_trip(value, values, worst):
    cell = CellResult(key="k", id="0", kind="accuracy", status="ok", model="m", precision="fp32", backend="b",
                      metrics={"x": MetricResult(value=value, n=1)},
                      curves={"x": CurveResult(x=values, y=values, x_label="", y_label="")})
    results = Results(suite={}, environment={}, plugins=[], cells=[cell],
                      gates=[GateResult(expression="", passed=False, value=worst)])
    text = results.model_dump_json(by_alias=True)
    jsonschema.Draft202012Validator(SCHEMA).validate(strictly(text))
    again = Results.model_validate_json(text)
    assert again == results
    assert again.cells[0].curves["x"].y == [each if math.isfinite(each) else None for each in values]


def test_a_suite_of_any_toml_value_is_written(suite, tmp_path):
    resolved = dict(suite('x = [nan, inf, 1979-05-27, 07:32:00, 1979-05-27T07:32:00Z]\n[suite]\nname = "x"\n'
                          .replace("x = ", "profiles.p.x = ")).resolved)
    resolved["x"] = [math.nan, math.inf, tmp_path]
    text = Results(suite=resolved, environment={}, plugins=[], cells=[]).model_dump_json(by_alias=True)
    assert strictly(text)["suite"]["x"] == [None, None, str(tmp_path)]


def test_every_latency_and_cost_field_may_be_unknown():
    latency = LatencyResult(scenario="single-stream", batch=1, threads=1, n=0, valid=False, why="too few")
    dumped = latency.model_dump()
    assert {name for name, value in dumped.items() if value is None} == {
        *(f"{name}{kind}_ms" for name in ("p50", "p90", "p95", "p99") for kind in ("", "_early_stopping")), "mean_ms",
        "cpu_ms", "gflops", "peak_share", "energy_mj", "gpu_energy_mj", "throughput", "throughput_ci", "ratio",
        "ratio_ci", "ci", "noisy", "session", "sessions", "queueing"}
    assert set(Cost().model_dump().values()) == {None}
