"""The data of the plots; the page's script draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import CellResult, FinishedRun, Results, Table, evenly_spaced
from harness_reports.html.text import label, main_metrics, setting

_POINTS = 200
"""Of a distribution or a curve: more can not be seen."""
_FEWEST_PARTS = 3
Json = dict[str, Any]


def pareto(results: Results) -> Json:
    """Every accuracy or explanation metric against every cost of the same model, precision and backend.

    {"x": [{"id", "label"}], "y": [{"id", "label", "higher", "share"}], "points": [{"y", "name", "key", "value", "ci",
    "x": {x id: value}}]}; costs that nothing has are left out.
    """
    costs: dict[tuple[str, str, str], dict[str, float]] = {}
    for cell in results.cells:
        found = costs.setdefault((cell.model, cell.precision, cell.backend), {})
        found.update((name, value) for name, value in _costs(cell) if value is not None)
    quality = [cell for cell in results.cells if cell.kind != "latency" and cell.status == "ok"]
    axes: dict[str, Json] = {}
    points: list[Json] = []
    for cell in quality:
        own = {**costs[cell.model, cell.precision, cell.backend]}
        if cell.cost.map_ms is not None:
            own["ms per map"] = cell.cost.map_ms
        among = [each for each in quality if each.dataset == cell.dataset and each.kind == cell.kind]
        for name, metric in main_metrics(cell).items():
            axis = f"{cell.dataset} · {name}"
            axes[axis] = {"id": axis, "label": axis, "higher": metric.higher_is_better,
                          "share": metric.unit == "fraction"}
            if metric.value is not None:
                points.append({"y": axis, "name": label(cell, among), "key": cell.key, "value": metric.value,
                               "ci": metric.ci, "x": own})
    known = {name for point in points for name in point["x"]}
    timing_first = sorted(results.cells, key=lambda cell: cell.kind != "latency")
    order = dict.fromkeys(name for cell in timing_first for name, _ in _costs(cell))
    names = [name for name in (*order, "ms per map") if name in known]
    return {"x": [{"id": name, "label": name} for name in names], "y": [*axes.values()], "points": points}


def _costs(cell: CellResult) -> Iterator[tuple[str, float | None]]:
    if cell.latency is not None:
        yield f"p50 ms ({setting(cell)})", cell.latency.p50_ms
        yield f"CPU ms ({setting(cell)})", cell.latency.cpu_ms
    yield "model MB", cell.cost.model_mb
    yield "GFLOP", cell.cost.gflop


def parts(results: Results) -> list[Json]:
    """Metrics with a number for each of several parts (a class, a keypoint, a class on a level), cells side by side.

    {"name", "share", "traces": [{"name", "x" parts, "y" values, "ci"}]}; a part is what follows the first dot of a
    result's name.
    """
    groups: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in results.cells:
        for name, metric in cell.metrics.items():
            base, dot, _ = name.partition(".")
            known = groups.setdefault((str(cell.dataset), base, metric.unit), []) if dot and "@" not in base else []
            if cell not in known:
                known.append(cell)
    found = []
    for (dataset, base, unit), cells in groups.items():
        names = list(dict.fromkeys(name for cell in cells for name, metric in cell.metrics.items()
                                   if name.startswith(f"{base}.") and metric.unit == unit))
        if len(names) < _FEWEST_PARTS:
            continue
        traces = [{"name": label(cell, cells), "x": [name.removeprefix(f"{base}.") for name in names],
                   "y": [_value(cell, name) for name in names],
                   "ci": [cell.metrics[name].ci if name in cell.metrics else None for name in names]} for cell in cells]
        words = f"{dataset} · {base}" + (f" ({unit})" if unit != "fraction" else "")
        found.append({"name": words, "share": unit == "fraction", "traces": traces})
    return found


def _value(cell: CellResult, name: str) -> float | None:
    return cell.metrics[name].value if name in cell.metrics else None


def latencies(run: FinishedRun, cells: list[CellResult]) -> tuple[list[Json], list[str]]:
    """The distribution of every latency cell with raw samples, {"name", "key", "x" milliseconds, "y" shares}, and in
    words what could not be read.
    """
    found, notes = [], []
    for cell in cells:
        try:
            count, times = _served(run.table(cell, "samples"))
        except (OSError, ValueError, LookupError, TypeError) as error:
            notes.append(f"{cell.key}: its samples can not be read: {error}")
            continue
        at = np.array(evenly_spaced(len(times), _POINTS), np.int64)
        if not len(at):
            continue
        found.append({"name": label(cell, cells), "key": cell.key,
                      "x": [float(f"{value:.5g}") for value in times[at]],
                      "y": [round(float(value), 4) for value in (at + 1) / count]})
    return found, notes


def _served(table: Table | None) -> tuple[int, NDArray[np.float64]]:
    """How many queries there were, and sorted milliseconds of those that were served; of the others only the share is
    known.
    """
    if table is None:
        return 0, np.zeros(0)
    times = table.dense("nanoseconds")
    served = table.dense("served").astype(bool) if "served" in table else np.ones(len(times), bool)
    return len(times), np.sort(times[served]) / 1e6


def curves(results: Results) -> list[Json]:
    """Curves of one name on one dataset together: {"name", "x_label", "y_label", "traces": [{"name", "x", "y"}]}."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for cell in results.cells:
        for name in cell.curves:
            groups.setdefault((str(cell.dataset), name), []).append(cell)
    found = []
    for (dataset, name), cells in groups.items():
        first = cells[0].curves[name]
        traces = [{"name": label(cell, cells), **_thinned(cell.curves[name].x, cell.curves[name].y)} for cell in cells]
        found.append({"name": f"{dataset} · {name}", "x_label": first.x_label, "y_label": first.y_label,
                      "traces": traces})
    return found


def _thinned(x: list[float | None], y: list[float | None]) -> Json:
    keep = evenly_spaced(len(x), _POINTS)
    return {"x": [x[index] for index in keep], "y": [y[index] for index in keep]}


def learning(records: Mapping[str, Json]) -> list[Json]:
    """Losses over epochs of the models that come with a record of their training: {"name", "traces"}."""
    found = []
    for name, record in records.items():
        history = [entry for entry in record.get("history", []) if isinstance(entry, dict)]
        epochs = [entry.get("epoch") for entry in history]
        losses = [(kind, [entry.get(kind) for entry in history]) for kind in ("train_loss", "val_loss")]
        traces = [{"name": kind.removesuffix("_loss"), "x": epochs, "y": values} for kind, values in losses
                  if any(value is not None for value in values)]
        if traces:
            found.append({"name": name, "x_label": "epoch", "y_label": "loss", "traces": traces})
    return found
