"""The reporter `html`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from harness.api import FinishedRun, Params, Results, verdict
from harness_reports.html import charts, correlations, galleries, tables
from harness_reports.html.pictures import Pictures

_FACTS = ("cpu", "logical_cores", "cpu_limit", "memory_gb", "gpus", "platform", "python", "commit")


class HtmlReporter:
    """report.html: no network, opens from disk, prints well; made from the run's folder alone."""

    def __init__(self, params: Params) -> None:
        pass

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        import jinja2
        from plotly.offline import get_plotlyjs

        environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                         undefined=jinja2.StrictUndefined)
        template = environment.from_string(_asset("report.html.j2"))
        page = template.render(**_content(run), style=_asset("report.css"), script=_asset("report.js"),
                               plotly=get_plotlyjs())
        return {"report.html": page}


def _content(run: FinishedRun) -> dict[str, Any]:
    results, pictures = run.results, Pictures()
    timing = [cell for cell in results.cells if cell.kind == "latency"]
    sheets = galleries.sheets(run, pictures)
    records = _training(run)
    epochs = [*_epochs(run, pictures)]
    latencies, notes = charts.latencies(run, timing)
    data: dict[str, Any] = {"pareto": charts.pareto(results), "latencies": latencies,
            "curves": charts.curves(results), "parts": charts.parts(results), "learning": charts.learning(records),
            "correlations": correlations.correlations(run), "pictures": pictures.uris}
    return {
        "name": _text(results.suite, "suite", "name") or "run",
        "description": _text(results.suite, "suite", "description"),
        "verdict": verdict(results), "summary": _summary(results), "gates": results.gates,
        "cells": tables.cell_rows(results), "metric_tables": tables.metric_tables(results),
        "latency_columns": tables.LATENCY_COLUMNS, "latency_rows": tables.latency_rows(timing),
        "latency_setting": tables.common_setting(timing), "latency_notes": notes, "sheets": sheets, "epochs": epochs,
        "has": {name: bool(value["points"] if name == "pareto" else value) for name, value in data.items()},
        "facts": [*_facts(results)], "plugins": results.plugins, "data": _script_json(data),
    }


def _summary(results: Results) -> str:
    counts = {status: sum(cell.status == status for cell in results.cells) for status in ("ok", "failed", "skipped")}
    cached = sum(cell.cached for cell in results.cells)
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    return f"{len(results.cells)} cells: {', '.join(parts)}" + (f"; {cached} from cache" if cached else "")


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    environment = results.environment
    for name in (*_FACTS, *(each for each in environment if each not in (*_FACTS, "packages"))):
        value = environment.get(name)
        if value not in (None, [], {}, ""):
            yield name.replace("_", " "), value if isinstance(value, str) else json.dumps(value)
    packages = environment.get("packages")
    if isinstance(packages, dict):
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())


def _training(run: FinishedRun) -> dict[str, dict[str, Any]]:
    """The records of the exports that the run kept, by model."""
    found: dict[str, dict[str, Any]] = {}
    for cell in run.results.cells:
        path = run.path(cell, "export")
        if path is None or cell.model in found:
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            found[cell.model] = record
    return found


def _epochs(run: FinishedRun, pictures: Pictures) -> Iterator[tuple[str, str]]:
    """(model, key of its picture) of the models whose training left snapshots."""
    seen: set[str] = set()
    for cell in run.results.cells:
        path = run.path(cell, "epochs")
        key = pictures.file(path) if path is not None and cell.model not in seen else None
        if key is not None:
            seen.add(cell.model)
            yield cell.model, key


def _text(table: Mapping[str, Any], *path: str) -> str:
    value: Any = table
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _script_json(data: Any) -> str:
    """JSON that can stand inside of a script element: no character that could end it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return files("harness_reports.html").joinpath(name).read_text(encoding="utf-8")
