"""The JSON Schemas, judged by jsonschema, and the committed copies."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

import harness
from harness.discovery import Disabled
from harness.host import Host, HostConfig
from harness.schema import results_schema, suite_schema

ROOT = Path(__file__).parents[2]
PACKAGE = Path(harness.__file__).parent


@pytest.fixture(scope="module")
def schema():
    return suite_schema(Host.discover(HostConfig(Disabled(frozenset({"third-party"})))))


@pytest.fixture(scope="module")
def valid(schema):
    return jsonschema.Draft7Validator(schema).is_valid


def suite(**tables):
    return {"suite": {"name": "x"}, **tables}


def test_it_is_draft_7(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = json.dumps(schema)
    assert not any(word in text for word in ("$defs", "prefixItems", "unevaluated"))
    references = set(_references(schema))
    assert references
    assert references <= {f"#/definitions/{name}" for name in schema["definitions"]}


def _references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _references(item)


def test_the_command_prints_it(cli, schema):
    outcome = cli("validate", "--schema", "--no-plugins=third-party")
    assert (outcome.code, json.loads(outcome.out)) == (0, schema)


SUITES = [ROOT / "suite.toml", *sorted((ROOT / "suites").glob("*.toml")), PACKAGE / "data" / "starter.toml"]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.name)
def test_it_accepts_our_suites(schema, path):
    errors = jsonschema.Draft7Validator(schema).iter_errors(tomllib.loads(path.read_text(encoding="utf-8")))
    assert [jsonschema.exceptions.best_match([error]).message for error in errors] == []


@pytest.mark.parametrize("tables", [
    {"datasets": {"a": {"use": "stick-figures", "count": 3}, "b": {"base": "a", "count": 4}}},
    {"datasets": {"a": {"use": "stick-figures", "transforms": [{"kind": "occlusion", "fraction": 0.5}]}}},
    {"models": {"m": {"use": "heatmapnet", "export": "exports/m", "train": {"epochs": 3}}}},
    {"models": {"m": {"use": "onnx", "path": "m.onnx", "input": {"size": [3, 4]}, "labels": ["a", "b"]}}},
    {"bench": [{"models": ["m"], "latency": [{"batch": 1, "threads": [1, 2], "min_queries": 9}, {}]}]},
    {"gates": [{"cell": "*", "metric": "pck", "max_regression": "5%"}]},
    {"executor": {"use": "inline"}},
    {"backends": {"b": {"use": "onnxruntime-cpu", "allow_spinning": True}}},
    {"profiles": {"fast": {"datasets": {"figures": {"count": 3}}}}},
], ids=lambda tables: next(iter(tables)))
def test_it_accepts(valid, tables):
    assert valid(suite(**tables))


@pytest.mark.parametrize("data", [
    {},
    {"suite": {}},
    {"suite": {"name": "x", "nmae": "y"}},
    suite(dataset={}),
    suite(datasets={"a": {"use": "stick-figurs"}}),
    suite(datasets={"a": {"use": "stick-figures", "cuont": 3}}),
    suite(datasets={"a": {"use": "stick-figures", "count": "many"}}),
    suite(datasets={"a": {"use": "pck"}}),
    suite(datasets={"a": {"count": 3}}),
    suite(datasets={"a": {"use": "stick-figures", "base": "b"}}),
    suite(datasets={"a": {"use": "stick-figures", "transforms": [{"kind": "nois", "sigma": 1}]}}),
    suite(models={"m": {"use": "onnx"}}),
    suite(models={"m": {"use": "onnx", "path": "m.onnx", "input": {"size": [3]}}}),
    suite(metrics=[{"use": "pck"}]),
    suite(bench={"models": ["m"]}),
    suite(bench=[{"modles": ["m"]}]),
    suite(bench=[{"models": ["m"], "latency": [{"scenario": "sngle-stream"}]}]),
    suite(bench=[{"models": ["m"], "latency": [{"min_querys": 3}]}]),
    suite(bench=[{"models": ["m"], "latency": [{"batch": 0}]}]),
    suite(gates=[{"cell": "*"}]),
    suite(executor={"use": "onnxruntime-cpu"}),
], ids=json.dumps)
def test_it_rejects(valid, data):
    assert not valid(data)


def test_a_kind_that_nobody_provides_can_not_be_used():
    validator = jsonschema.Draft7Validator(suite_schema(Host.of()))
    assert validator.is_valid(suite(metrics={}))
    assert not validator.is_valid(suite(metrics={"pck": {"use": "pck"}}))


def test_plugins_of_others_are_in_it(host):
    validator = jsonschema.Draft7Validator(suite_schema(host))
    assert validator.is_valid(suite(metrics={"far": {"use": "distance", "scale": 3}}))
    assert not validator.is_valid(suite(metrics={"far": {"use": "distance", "scael": 3}}))


def test_every_key_is_described(schema):
    undescribed = [f"{name}.{key}" for name, definition in schema["definitions"].items() if name != "InputSpec"
                   for key, value in definition.get("properties", {}).items()
                   if "description" not in value and key not in ("kind",) and "$ref" not in value]
    assert undescribed == []


def test_the_committed_schema_of_suites_is_up_to_date(schema):
    assert json.loads((ROOT / "suite.schema.json").read_text(encoding="utf-8")) == schema, \
        "run: harness validate --schema --no-plugins=third-party > suite.schema.json"


def test_the_committed_schema_of_results_is_up_to_date():
    path = PACKAGE / "data" / "results.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == results_schema(), (
        "run: python -c 'import json; from harness.schema import results_schema; "
        "print(json.dumps(results_schema(), indent=1))' > harness/data/results.schema.json")


def test_the_schema_of_results_is_valid():
    jsonschema.Draft202012Validator.check_schema(results_schema())
    assert results_schema()["properties"]["schema"]["const"] == 1
