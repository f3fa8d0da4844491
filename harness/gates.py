"""Gates: conditions on results that decide the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from harness.errors import did_you_mean, one_of
from harness.results import CellResult, GateResult, LatencyResult
from harness.suite import GateTable

if TYPE_CHECKING:
    from harness.signedrank import Shift

_LEVEL = 0.05
OVER_ROUNDS = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "cpu_ms", "throughput")
"""Latency fields that every round has a value of: what `max_regression` can compare with the baseline's."""
Check = Callable[[str, str], str | None]
"""(key of a cell, metric) -> why the value can not be compared with the baseline's, None when it can."""


class Again(Protocol):
    """Latencies of cells measured again beside those of the baseline (harness.compare.latency.Again)."""

    @property
    def problem(self) -> str | None:
        """Why nothing was measured."""

    def shift(self, key: str, name: str) -> Shift | str:
        """The ratio to the baseline of a latency field of a cell, or why there is none."""


def evaluate(gate: GateTable, cells: Sequence[CellResult], baseline: Mapping[str, CellResult] | None,
             again: Again | None = None, check: Check | None = None) -> GateResult:
    """Test one gate on the point values of all ok cells that it matches; skipped ones do not count.

    A gate fails where it matches no ok cell or one that failed, a metric that a matching cell does not have, or a
    latency that is not valid: silence is no success. again: latencies measured beside the baseline's, for
    `max_regression`; it fails where the ratio over the rounds exceeds what is allowed and is significant at the 5 %
    level. check: whether a metric can be compared with the baseline's.
    """
    matched = [cell for cell in cells if fnmatchcase(cell.key, gate.cell)]
    measured = [cell for cell in matched if cell.status == "ok"]
    keys = [cell.key for cell in measured]
    if problem := _untested(matched, measured) or _unusable(gate, measured):
        return GateResult(expression=expression(gate), passed=False, cells=keys, reason=problem)
    values = {cell.key: value_of(cell, gate.metric) for cell in measured}
    present = {key: value for key, value in values.items() if value is not None}
    if remeasures(gate):
        return _slowdown(gate, keys, again)
    if gate.max_regression is not None:
        return _regression(gate, measured, present, baseline or {}, check)
    worst = min(present.values()) if gate.min is not None else max(present.values())
    passed = worst >= gate.min if gate.min is not None else gate.max is not None and worst <= gate.max
    return GateResult(expression=expression(gate), passed=passed, value=worst, cells=keys)


def expression(gate: GateTable) -> str:
    """The gate in one line, as reports show it."""
    if gate.max_regression is not None:
        return f"{gate.cell} {gate.metric} at most {gate.max_regression} worse than the baseline"
    return f"{gate.cell} {gate.metric} >= {gate.min:g}" if gate.min is not None else \
        f"{gate.cell} {gate.metric} <= {gate.max:g}"


def remeasures(gate: GateTable) -> bool:
    """Whether the gate is decided by measuring latencies again, beside the baseline's."""
    return gate.max_regression is not None and gate.metric in LatencyResult.model_fields


def unmeasurable(gate: GateTable) -> str | None:
    """Why a gate would ask for a measurement that can not answer it, None when it does not."""
    if not remeasures(gate) or gate.metric in OVER_ROUNDS:
        return None
    return (f'"{gate.metric}" is no number of a round, so that it can not be compared with a baseline measured in the '
            f"same rounds: take {one_of(OVER_ROUNDS)}, or min or max")


def value_of(cell: CellResult, name: str) -> float | None:
    """A metric's value or a latency field by name; None when the cell does not have it."""
    if name in cell.metrics:
        return cell.metrics[name].value
    value = getattr(cell.latency, name) if name in LatencyResult.model_fields and cell.latency else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def result_names(cell: CellResult) -> list[str]:
    """The names that value_of knows of a cell."""
    return [*cell.metrics, *(name for name in LatencyResult.model_fields if value_of(cell, name) is not None)]


def _untested(matched: Sequence[CellResult], measured: Sequence[CellResult]) -> str | None:
    """Why the cells that a gate matches do not say what it asks."""
    if not measured:
        found = " and ".join(sorted({cell.status for cell in matched}))
        return f"only {found} cells match" if matched else "no cell matches"
    failed = [cell.key for cell in matched if cell.status == "failed"]
    return f"{len(failed)} of {len(matched)} cells that match failed: {', '.join(failed)}" if failed else None


def _unusable(gate: GateTable, measured: Sequence[CellResult]) -> str | None:
    """Which value is missing or stands for nothing."""
    for cell in measured:
        if value_of(cell, gate.metric) is None:
            known = {name for each in measured for name in result_names(each)} - {gate.metric}
            return f'{cell.key} has no value "{gate.metric}"{did_you_mean(gate.metric, known)}'
    for cell in measured:
        if gate.metric not in cell.metrics and cell.latency is not None and not cell.latency.valid:
            return f"{cell.key} is not valid" + (f": {cell.latency.why}" if cell.latency.why else "")
    return None


def _regression(gate: GateTable, cells: Sequence[CellResult], values: Mapping[str, float],
                baseline: Mapping[str, CellResult], check: Check | None) -> GateResult:
    """value: the largest relative loss among the cells, positive when worse."""
    losses = {}
    for cell in cells:
        old = baseline.get(cell.key)
        before = value_of(old, gate.metric) if old is not None and old.status == "ok" else None
        if old is None or before is None:
            return GateResult(expression=expression(gate), passed=False, cells=list(values),
                              reason=f'the baseline has no ok cell "{cell.key}" with "{gate.metric}"')
        if problem := _incomparable(cell, old, gate.metric) or (check and check(cell.key, gate.metric)):
            return GateResult(expression=expression(gate), passed=False, cells=list(values), reason=problem)
        change = values[cell.key] - before
        loss = -change if _higher_is_better(cell, gate.metric) else change
        losses[cell.key] = loss / abs(before) if before else (0.0 if loss <= 0 else float("inf"))
    worst = max(losses.values())
    return GateResult(expression=expression(gate), passed=worst <= _allowed(gate), value=worst, cells=list(values))


def _slowdown(gate: GateTable, keys: Sequence[str], again: Again | None) -> GateResult:
    """value: the largest relative loss among the cells, positive when slower."""
    shifts: dict[str, Shift] = {}
    problem = "the cells were not measured beside the baseline's" if again is None else again.problem
    if again is not None and problem is None:
        for key in keys:
            found = again.shift(key, gate.metric)
            if isinstance(found, str):
                problem = f"{key}: {found}"
            else:
                shifts[key] = found
    if problem is not None:
        return GateResult(expression=expression(gate), passed=False, cells=list(keys), reason=problem)
    losses = {key: 1 - each.estimate if gate.metric == "throughput" else each.estimate - 1
              for key, each in shifts.items()}
    failed = [key for key, loss in losses.items() if loss > _allowed(gate) and shifts[key].p < _LEVEL]
    reason = f"{failed[0]}: {_told(shifts[failed[0]])}" if failed else None
    return GateResult(expression=expression(gate), passed=not failed, value=max(losses.values()), cells=list(keys),
                      reason=reason)


def _told(shift: Shift) -> str:
    interval = f", 95 % interval {shift.interval[0]:.4g} to {shift.interval[1]:.4g}" if shift.interval else ""
    return f"{shift.estimate:.4g} times the baseline measured beside it{interval}"


def _allowed(gate: GateTable) -> float:
    return float((gate.max_regression or "0%").rstrip("%")) / 100


def _incomparable(cell: CellResult, old: CellResult, metric: str) -> str | None:
    new, before = cell.metrics[metric].convention, old.metrics[metric].convention
    return None if new == before else f'{cell.key}: convention "{new}" can not be compared with "{before}"'


def _higher_is_better(cell: CellResult, metric: str) -> bool:
    return cell.metrics[metric].higher_is_better
