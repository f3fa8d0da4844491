"""The committed JSON Schema of results.json: current, and what a real run writes is valid by it."""

import copy
import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from harness.results import Results

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "results.schema.json"

SUITE = """
[suite]
name = "schema"
[datasets.figures]
use = "stick-figures"
count = 3
[models.centroid]
use = "onnx"
path = "{model}"
task = "keypoints"
input = {{ size = [64, 64], color = "GRAY" }}
[[bench]]
models = ["centroid"]
datasets = ["figures"]
metrics = ["pck"]
backends = ["onnxruntime-cpu", "onnxruntime-cuda"]
latency = [{{ min_queries = 12, min_duration_s = 0.0, max_warmup_s = 0.1 }}]
[[gates]]
cell = "accuracy/*"
metric = "pck@0.05"
min = 0.5
"""


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_committed_schema_is_current():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert SCHEMA.read_text("utf-8") == generate.results_schema(), "run: python docs/generate.py"


@pytest.fixture
def written(cli, tmp_path, centroid_model):
    """results.json of a run with an ok latency, a failed accuracy cell (one keypoint for five) and skipped cells."""
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.format(model=centroid_model))
    ran = cli("run", suite, "--output", tmp_path / "run")
    assert ran.code == 3, ran.text
    return json.loads((tmp_path / "run" / "results.json").read_text("utf-8"))


def test_a_real_run_is_valid(validator, written):
    validator.validate(written)
    assert {cell["status"] for cell in written["cells"]} >= {"ok", "failed"}
    assert written["gates"][0]["passed"] is False
    again = Results.model_validate(written).model_dump(mode="json", by_alias=True)
    assert again == written


DAMAGES = {
    "cells missing": lambda results: results.pop("cells"),
    "another version": lambda results: results.update(schema=2),
    "unknown status": lambda results: results["cells"][0].update(status="fine"),
    "key missing": lambda results: results["cells"][0].pop("error"),
    "value of a wrong type": lambda results: results["cells"][0].update(metrics={"pck": {"value": "high"}}),
}


def test_a_damaged_one_is_not(validator, written):
    for name, damage in DAMAGES.items():
        damaged = copy.deepcopy(written)
        damage(damaged)
        assert not validator.is_valid(damaged), name
