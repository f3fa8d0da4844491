"""JSON Schemas: of suites, for editors (the suite's own tables merged with the params of all installed plugins), and
of results.json, for whoever reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from harness.host import Host
from harness.results import Results
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    MetricSpec,
    ModelSpec,
    SaliencySpec,
    ScenarioSpec,
    Spec,
)
from harness.suite import (
    BenchTable,
    DatasetTable,
    ExplainTable,
    GateTable,
    LatencyTable,
    ModelTable,
    PluginTable,
    SaliencyTable,
    SuiteTable,
)

_TABLES: dict[str, tuple[type[BaseModel], type[Spec], str]] = {
    "datasets": (DatasetTable, DatasetSpec, "use"),
    "models": (ModelTable, ModelSpec, "use"),
    "saliency": (SaliencyTable, SaliencySpec, "use"),
    "metrics": (PluginTable, MetricSpec, "use"),
    "backends": (PluginTable, BackendSpec, "use"),
    "executor": (PluginTable, ExecutorSpec, "use"),
    "latency": (LatencyTable, ScenarioSpec, "scenario"),
}
_ARRAYS: dict[str, type[BaseModel]] = {"bench": BenchTable, "explain": ExplainTable, "gates": GateTable}


def suite_schema(host: Host) -> dict[str, Any]:
    """Draft-07, with `definitions`: what the common TOML language servers understand."""
    merged = {name: [_merged(table, spec, key) for spec in _unique(host.specs(kind))]
              for name, (table, kind, key) in _TABLES.items()}
    everything: list[type[BaseModel]] = [SuiteTable, *_ARRAYS.values(),
                                         *(model for models in merged.values() for model in models)]
    references, definitions = models_json_schema([(model, "validation") for model in everything],
                                                 ref_template="#/definitions/{model}")

    def reference(model: type[BaseModel]) -> dict[str, Any]:
        return dict(references[model, "validation"])

    properties: dict[str, Any] = {"suite": reference(SuiteTable), "profiles": _profiles()}
    for name, models in merged.items():
        choices = [reference(model) for model in models]
        if name == "datasets":  # a derived dataset takes its plugin's keys over from its base
            choices.append({"type": "object", "required": ["base"],
                            "properties": {"base": {"type": "string"}, "use": False}})
        if name == "latency":
            _set_latency(definitions["$defs"], choices)
        elif name == "executor":
            properties[name] = {"oneOf": choices}
        else:
            properties[name] = {"type": "object", "additionalProperties": {"oneOf": choices} if choices else False}
    for name, model in _ARRAYS.items():
        properties[name] = {"type": "array", "items": reference(model)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "harness suite", "type": "object",
        "required": ["suite"], "additionalProperties": False, "properties": properties,
        "definitions": _draft7(definitions["$defs"]),
    }


def results_schema() -> dict[str, Any]:
    """Draft 2020-12: what harness writes to results.json; committed as harness/data/results.schema.json."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**dialect, **Results.model_json_schema(by_alias=True, mode="serialization")}


def _unique(specs: Sequence[Spec]) -> list[Spec]:
    """One declaration per name: an ambiguous one can not be used anyway."""
    return list({spec.name: spec for spec in specs}.values())


def _merged(table: type[BaseModel], spec: Spec, key: str) -> type[BaseModel]:
    """The suite's own keys and the plugin's in one model, told apart by `use = NAME`."""
    name = Literal[spec.name]  # type: ignore[name-defined]  # made at run time on purpose
    default = "single-stream" if key == "scenario" and spec.name == "single-stream" else ...
    choice: Any = (name, Field(default, description=spec.summary))
    own = {field: (info.annotation, info) for field, info in table.model_fields.items() if field not in (key, "base")}
    # Built on the plugin's params alone: the table's validators need keys that are left out here.
    fields: dict[str, Any] = {key: choice, **own}
    return create_model(f"{spec.role}: {spec.name}", __base__=spec.params, __doc__=spec.summary, **fields)


def _set_latency(definitions: dict[str, Any], choices: list[dict[str, Any]]) -> None:
    definitions[BenchTable.__name__]["properties"]["latency"]["items"] = {"oneOf": choices}


def _profiles() -> dict[str, Any]:
    return {"type": "object", "description": "[profiles.NAME] overrides any key with `--profile NAME`.",
            "additionalProperties": {"type": "object"}}


def _draft7(value: Any) -> Any:
    """Pydantic writes draft 2020-12; tuples and references are what differs."""
    if isinstance(value, list):
        return [_draft7(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: _draft7(item) for key, item in value.items()}
    if "prefixItems" in converted:
        converted["items"] = converted.pop("prefixItems")
    return converted
