"""Gates: conditions on results that decide the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from harness.errors import did_you_mean
from harness.results import CellResult, GateResult, LatencyResult
from harness.suite import GateTable


def evaluate(gate: GateTable, cells: Sequence[CellResult], baseline: Mapping[str, CellResult] | None) -> GateResult:
    """Test one gate on the point values of all ok cells that it matches.

    A gate that matches no ok cell, or a metric that a matching cell does not have, fails: silence is no success.
    """
    matched = [cell for cell in cells if fnmatchcase(cell.key, gate.cell)]
    measured = [cell for cell in matched if cell.status == "ok"]
    keys = [cell.key for cell in measured]
    if not measured:
        found = " and ".join(sorted({cell.status for cell in matched}))
        what = f"only {found} cells match" if matched else "no cell matches"
        return GateResult(expression=expression(gate), passed=False, reason=what)
    values = {cell.key: value_of(cell, gate.metric) for cell in measured}
    missing = [key for key, value in values.items() if value is None]
    if missing:
        known = {name for cell in measured for name in result_names(cell)} - {gate.metric}
        return GateResult(expression=expression(gate), passed=False, cells=keys,
                          reason=f'{missing[0]} has no value "{gate.metric}"{did_you_mean(gate.metric, known)}')
    present = {key: value for key, value in values.items() if value is not None}
    if gate.max_regression is not None:
        return _regression(gate, measured, present, baseline or {})
    worst = min(present.values()) if gate.min is not None else max(present.values())
    passed = worst >= gate.min if gate.min is not None else gate.max is not None and worst <= gate.max
    return GateResult(expression=expression(gate), passed=passed, value=worst, cells=keys)


def expression(gate: GateTable) -> str:
    """The gate in one line, as reports show it."""
    if gate.max_regression is not None:
        return f"{gate.cell} {gate.metric} at most {gate.max_regression} worse than the baseline"
    return f"{gate.cell} {gate.metric} >= {gate.min:g}" if gate.min is not None else \
        f"{gate.cell} {gate.metric} <= {gate.max:g}"


def value_of(cell: CellResult, name: str) -> float | None:
    """A metric's value or a latency field by name; None when the cell does not have it."""
    if name in cell.metrics:
        return cell.metrics[name].value
    value = getattr(cell.latency, name) if name in LatencyResult.model_fields and cell.latency else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def result_names(cell: CellResult) -> list[str]:
    """The names that value_of knows of a cell."""
    return [*cell.metrics, *(name for name in LatencyResult.model_fields if value_of(cell, name) is not None)]


def _regression(gate: GateTable, cells: Sequence[CellResult], values: Mapping[str, float],
                baseline: Mapping[str, CellResult]) -> GateResult:
    """value: the largest relative loss among the cells, positive when worse."""
    allowed = float((gate.max_regression or "0%").rstrip("%")) / 100
    losses = {}
    for cell in cells:
        old = baseline.get(cell.key)
        before = value_of(old, gate.metric) if old is not None and old.status == "ok" else None
        if old is None or before is None:
            return GateResult(expression=expression(gate), passed=False, cells=list(values),
                              reason=f'the baseline has no ok cell "{cell.key}" with "{gate.metric}"')
        if problem := _incomparable(cell, old, gate.metric):
            return GateResult(expression=expression(gate), passed=False, cells=list(values), reason=problem)
        change = values[cell.key] - before
        loss = -change if _higher_is_better(cell, gate.metric) else change
        losses[cell.key] = loss / abs(before) if before else (0.0 if loss <= 0 else float("inf"))
    worst = max(losses.values())
    return GateResult(expression=expression(gate), passed=worst <= allowed, value=worst, cells=list(values))


def _incomparable(cell: CellResult, old: CellResult, metric: str) -> str | None:
    if metric not in cell.metrics:
        return ("latencies of two runs made at different times can not be compared; "
                "use min or max, or a ratio to suite.reference")
    new, before = cell.metrics[metric].convention, old.metrics[metric].convention
    return None if new == before else f'{cell.key}: convention "{new}" can not be compared with "{before}"'


def _higher_is_better(cell: CellResult, metric: str) -> bool:
    return cell.metrics[metric].higher_is_better
