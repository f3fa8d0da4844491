"""Plugins and declarations as plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from harness.api import MetricSpec, Params, SuitePath
from harness.catalogue import plugin_facts, spec_facts
from harness.host import Host
from harness.specs import Spec


class Example(Params):
    root: SuitePath
    """Where it is."""
    kind: Literal["a", "b"] = "a"
    count: Annotated[int, Field(gt=0)] | None = None
    sizes: tuple[float, float] = (0.5, 1.0)
    names: list[str] = Field(default_factory=lambda: ["x"])


def test_all_is_plain_data(host):
    json.dumps([[plugin_facts(record) for record in host.plugins], [spec_facts(spec) for spec in host.specs(Spec)]],
               allow_nan=True)


def test_facts_of_a_metric():
    spec = MetricSpec(name="m", summary="One line.", tasks=frozenset({"b", "a"}), factory="x:y", params=Example,
                      higher_is_better=False, range=(0.0, float("inf")))
    facts = spec_facts(spec)
    assert facts["direction"] == "lower is better"
    assert (facts["range"], facts["tasks"], facts["role"]) == ("0 to inf", ["a", "b"], "metric")
    assert "factory" not in facts
    assert "higher_is_better" not in facts


@pytest.mark.parametrize(("name", "type_", "required", "default"), [
    ("root", "Path", True, None),
    ("kind", "'a' | 'b'", False, "a"),
    ("count", "int | none", False, None),
    ("sizes", "tuple[float, float]", False, "(0.5, 1.0)"),
    ("names", "list[str]", False, "['x']"),
])
def test_params(name, type_, required, default):
    facts = spec_facts(MetricSpec(name="m", summary="", tasks=frozenset(), factory="x:y", params=Example))
    found = facts["params"][name]
    assert (found["type"], found["required"], found["default"]) == (type_, required, default)
    assert found["description"] == ("Where it is." if name == "root" else "")


def test_facts_of_a_plugin(host):
    facts = next(plugin_facts(record) for record in host.plugins if record.name == "fake_plugin")
    assert (facts["status"], facts["distribution"], facts["version"]) == ("ok", "fake_plugin", "0")
    assert {"dataset spots", "metric distance", "saliency costly"} <= set(facts["provides"])
    assert facts["hooks"] == sorted(facts["hooks"])
    assert (facts["warnings"], facts["failures"]) == ([], [])


def test_facts_of_a_broken_plugin():
    class Broken:
        harness_api = Path("x")

    (record,) = Host.of(Broken()).plugins
    facts = plugin_facts(record)
    json.dumps(facts)
    assert facts["status"] == "failed"
    assert [(failure["phase"], failure["traceback"]) for failure in facts["failures"]] == [("api", "")]
