"""The tables of the report: one of all cells, one of metrics for each dataset, one of latencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.api import CellResult, Results, number
from harness_reports.html.text import (
    NOTHING,
    Shown,
    label,
    main_metrics,
    metric,
    setting,
    several_settings,
    why,
)


@dataclass(frozen=True, slots=True)
class CellRow:
    """One cell in the table of all. gates: (passed, expression) of each gate that judged it."""

    key: str
    kind: str
    status: str
    cached: bool
    result: str
    value: Shown
    ratio: Shown
    time: Shown
    gates: Sequence[tuple[bool, str]]
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is of, its numbers, and whether each is the best of its column."""

    name: str
    key: str
    values: Sequence[Shown]
    best: Sequence[bool]
    why: str = ""


@dataclass(frozen=True, slots=True)
class MetricTable:
    """columns: result names with their conventions as hints."""

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Row]


def cell_rows(results: Results) -> list[CellRow]:
    """Every cell of the run, in the order of the plan."""
    return [_cell_row(cell, results) for cell in results.cells]


def _cell_row(cell: CellResult, results: Results) -> CellRow:
    name, value = "", NOTHING
    ratio = NOTHING
    if cell.latency is not None:
        latency = cell.latency
        note = f"{number(latency.ci[0])} to {number(latency.ci[1])} ms" if latency.ci else ""
        name, value = "p50", Shown(f"{number(latency.p50_ms)} ms", latency.p50_ms, note)
        if latency.ratio is not None:
            bounds = f"{number(latency.ratio_ci[0])} to {number(latency.ratio_ci[1])}" if latency.ratio_ci else ""
            ratio = Shown(f"{latency.ratio:.3g}", latency.ratio, bounds)
    elif main_metrics(cell):
        name, found = next(iter(main_metrics(cell).items()))
        value = metric(found)
    gates = [(gate.passed, f"{gate.expression}{': ' + gate.reason if gate.reason else ''}") for gate in results.gates
             if cell.key in gate.cells]
    seconds = cell.cost.seconds
    return CellRow(cell.key, cell.kind, _status(cell), cell.cached, name, value, ratio,
                   Shown(f"{seconds:.1f} s", seconds) if seconds is not None else NOTHING, gates, why(cell))


def _status(cell: CellResult) -> str:
    """"invalid" is a latency that must not be quoted, "noisy" one from a disturbed machine."""
    if cell.status == "ok" and cell.latency is not None and not cell.latency.valid:
        return "invalid"
    if cell.status == "ok" and cell.latency is not None and cell.latency.noisy:
        return "noisy"
    return cell.status


def metric_tables(results: Results) -> list[MetricTable]:
    """One for each dataset and kind of cell; failed and skipped cells stay visible."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for cell in results.cells:
        if cell.kind != "latency":
            groups.setdefault((cell.kind, str(cell.dataset)), []).append(cell)
    return [_metric_table(kind, dataset, cells) for (kind, dataset), cells in groups.items()]


def _metric_table(kind: str, dataset: str, cells: list[CellResult]) -> MetricTable:
    found = {name: each for cell in cells for name, each in main_metrics(cell).items()}
    best = {name: _best(name, cells) for name in found}
    rows = [Row(label(cell, cells), cell.key, [metric(cell.metrics.get(name)) for name in found],
                [best[name] is not None and cell.metrics.get(name) is not None
                 and cell.metrics[name].value == best[name] for name in found],
                why(cell) if cell.status != "ok" else "") for cell in cells]
    columns = [(name, "; ".join(filter(None, [each.convention, each.unit if each.unit != "fraction" else "",
                                              "higher is better" if each.higher_is_better else "lower is better"])))
               for name, each in found.items()]
    title = {"accuracy": "Accuracy", "explain": "Explanation quality"}[kind]
    return MetricTable(f"{title} on {dataset}", columns, rows)


def _best(name: str, cells: Sequence[CellResult]) -> float | None:
    """The best value where several differ."""
    found = [cell.metrics[name] for cell in cells if name in cell.metrics and cell.metrics[name].value is not None]
    values = [each.value for each in found if each.value is not None]
    if len(set(values)) < 2:
        return None
    return max(values) if found[0].higher_is_better else min(values)


def common_setting(cells: Sequence[CellResult]) -> str:
    """What all latencies have in common, said once; "" when they differ."""
    known = [cell for cell in cells if cell.latency is not None]
    return setting(known[0]) if known and not several_settings(known) else ""


LATENCY_COLUMNS = ("p50 ms", "p90 ms", "p95 ms", "p99 ms", "mean ms", "CPU ms", "samples/s", "ratio", "queries")


def latency_rows(cells: list[CellResult]) -> list[Row]:
    """The latency cells with all that is known of their distribution."""
    rows = []
    for cell in cells:
        latency = cell.latency
        values: list[Shown] = [NOTHING] * len(LATENCY_COLUMNS)
        if latency is not None:
            numbers = (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms, latency.mean_ms, latency.cpu_ms,
                       latency.throughput, latency.ratio, float(latency.n))
            values = [Shown(number(each), each) for each in numbers]
            if latency.ci is not None:
                values[0] = values[0]._replace(note=f"{number(latency.ci[0])} to {number(latency.ci[1])}")
        rows.append(Row(label(cell, cells), cell.key, values, [False] * len(values), why(cell)))
    return rows
