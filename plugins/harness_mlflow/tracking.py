"""What is logged of a finished run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import mlflow

from harness.api import CellResult, Results, RunContext, verdict

_LATENCY = ("p50_ms", "p90_ms", "p99_ms", "throughput", "ratio")
_FACTS = ("commit", "cpu", "platform", "python")
_LONGEST = 250
"""Characters of a name or a value, as MLflow takes them."""


def track(context: RunContext) -> None:
    """Log parameters, metrics and results.json as one run; its name is that of the run's folder."""
    results = context.results
    if results is None:
        return
    suite = results.suite.get("suite", {})
    mlflow.set_experiment(str(suite.get("name", "harness")))
    with mlflow.start_run(run_name=context.directory.name, description=str(suite.get("description", "")) or None):
        mlflow.log_params({name: value[:_LONGEST] for name, value in parameters(results)})
        mlflow.log_metrics(dict(metrics(results)))
        mlflow.set_tags({"harness.verdict": verdict(results)[1], "harness.folder": str(context.directory)})
        mlflow.log_artifact(str(context.directory / "results.json"))


def parameters(results: Results) -> Iterator[tuple[str, str]]:
    """Seed, machine and the suite's tables of models and datasets, each as one value."""
    for name in _FACTS:
        if results.environment.get(name):
            yield name, str(results.environment[name])
    for table in ("suite", "models", "datasets"):
        entries = results.suite.get(table)
        if isinstance(entries, Mapping):
            yield from ((_name(f"{table}.{key}"), _plain(value)) for key, value in entries.items())


def metrics(results: Results) -> Iterator[tuple[str, float]]:
    """Every number of every ok cell, called KEY/NAME; parts that tables leave out are left out here, too."""
    for cell in results.cells:
        if cell.status == "ok":
            yield from ((_name(f"{cell.key}/{name}"), value) for name, value in _numbers(cell))


def _numbers(cell: CellResult) -> Iterator[tuple[str, float]]:
    for name, metric in cell.metrics.items():
        if metric.value is not None and not metric.detail:
            yield name, metric.value
    for name in _LATENCY if cell.latency is not None else ():
        value = getattr(cell.latency, name)
        if value is not None:
            yield name, value


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_plain(item)}" for key, item in value.items())
    return str(value)


def _name(text: str) -> str:
    """MLflow's names have letters, digits, _ - . : / and spaces; an at sign becomes a colon."""
    return re.sub(r"[^\w\-.:/ ]", "_", text.replace("@", ":"), flags=re.ASCII)[:_LONGEST]
