"""Two runs beside each other: paired tests on the rows of each sample, ratios over rounds for latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.compare import latency as latencies
from harness.compare.checks import differences
from harness.compare.latency import measure_again
from harness.compare.pairing import ALPHA, Difference, benjamini_hochberg, paired
from harness.compare.records import Comparison, ComparisonRow, Lost, Verdict
from harness.compare.runs import Run
from harness.contracts import Progress
from harness.errors import UsageError, one_of
from harness.host import blame, create
from harness.plan import matches
from harness.results import CellResult
from harness.stats import stable_seed
from harness.suite import MetricEntry
from harness.table import Table


def compare(a: Run, b: Run, *, tolerance: float = 0.0, only: Sequence[str] = (), rerun: bool = False,
            force: bool = False, progress: Progress | None = None) -> Comparison:
    """Compare run B with run A, the baseline, cell by cell.

    tolerance: relative loss that is no regression; only: globs over keys; rerun: measure latencies again, side by
    side; force: compare in spite of other conventions, samples or machines. Raises UsageError when the runs have no
    cell in common or differ in what makes numbers comparable.
    """
    keys = [key for key, cell in b.cells.items() if _chosen(key, only) and _ok(a.cells.get(key)) and _ok(cell)]
    if not keys:
        raise UsageError(f"{a.path} and {b.path} have no successful cell in common"
                         f"{' that matches --only' if only else ''}; A has {one_of(a.cells)}")
    warnings = list(differences(a, b, keys, rerun=rerun))
    if warnings and not force:
        raise UsageError("\n".join(["the runs can not be compared (--force compares them nevertheless):", *warnings]))
    rows = [row for key in keys if b.cells[key].kind != "latency" for row in _quality(a, b, key)]
    rows += _latency(a, b, [key for key in keys if b.cells[key].kind == "latency"], rerun, progress or _silent)
    return Comparison(a=str(a.path), b=str(b.path), tolerance=tolerance, rows=judged(rows, tolerance),
                      unmatched=dict(_unmatched(a, b, only)), lost=dict(_lost(a, b, only)),
                      warnings=warnings)


def _quality(a: Run, b: Run, key: str) -> Iterator[ComparisonRow]:
    ours, theirs = a.cells[key], b.cells[key]
    names = [name for name, metric in theirs.metrics.items() if name in ours.metrics and not metric.detail]
    tested = {name: found for entry in _entries(b, key) for name, found in _tested(a, b, key, entry).items()}
    for name in names:
        one, other = ours.metrics[name], theirs.metrics[name]
        found = tested.get(name)
        base = ComparisonRow(cell=key, metric=name, a=one.value, b=other.value, unit=other.unit, n=other.n)
        if one.value is None or other.value is None:
            yield base.model_copy(update={"note": "not evaluable"})
            continue
        change = other.value - one.value
        loss = -change if other.higher_is_better else change
        update: dict[str, object] = {"change": change, "loss": _relative(loss, one.value, other.value)}
        if found is None:
            update["note"] = "no rows of the same samples beside the results"
        else:
            update |= {"ci": found.ci, "p": found.p, "test": found.test,
                       "minimum_detectable": found.minimum_detectable}
        yield base.model_copy(update=update)


def _entries(run: Run, key: str) -> Sequence[MetricEntry]:
    planned = run.plan.get(key)
    return planned.metrics if planned else ()


def _tested(a: Run, b: Run, key: str, entry: MetricEntry) -> dict[str, Difference]:
    """The tests of one metric, by result name; empty without rows of the same samples."""
    pair = _same_samples(a, b, key, entry.id)
    if pair is None:
        return {}
    with blame(entry.spec):
        metric = create(entry.spec, entry.params)
        found = paired(metric.summarize, *pair, entry.spec.replicates, stable_seed("compare", key, entry.id))
    return {entry.id + suffix: difference for suffix, difference in found.items()}


def _same_samples(a: Run, b: Run, key: str, metric: str) -> tuple[Table, Table] | None:
    ours, theirs = a.rows(a.cells[key], metric), b.rows(b.cells[key], metric)
    if ours is None or theirs is None or set(ours) != set(theirs):
        return None
    one, other = a.ids(a.cells[key]), b.ids(b.cells[key])
    if one is None or other is None:
        return (ours, theirs) if ours.rows == theirs.rows else None
    shared, first, second = np.intersect1d(one, other, return_indices=True)
    if not len(shared):
        return None
    order = np.argsort(second)  # of run B, so that a seed draws the same samples whatever their names
    return ours.take(first[order]), theirs.take(second[order])


def _latency(a: Run, b: Run, keys: Sequence[str], rerun: bool, progress: Progress) -> list[ComparisonRow]:
    if not rerun or not keys:
        return [latencies.advisory_row(key, a.cells[key], b.cells[key]) for key in keys]
    again = measure_again(a, b, keys, progress)
    return [latencies.rerun_row(key, again[key]) for key in keys]


def judged(rows: Sequence[ComparisonRow], tolerance: float) -> list[ComparisonRow]:
    """Rows in which no sample differs are not corrected for: they can not be found different by chance."""
    tested = [row.p for row in rows if row.p is not None and not _identical(row)]
    adjusted = iter(benjamini_hochberg(tested))
    return [row if row.p is None else _with_verdict(row, 1.0 if _identical(row) else next(adjusted), tolerance)
            for row in rows]


def _identical(row: ComparisonRow) -> bool:
    return row.p == 1 and row.change == 0 and row.ci == (0, 0)


def _with_verdict(row: ComparisonRow, p: float, tolerance: float) -> ComparisonRow:
    verdict: Verdict = "no difference"
    if p < ALPHA and row.loss is not None and row.loss > tolerance:
        verdict = "regression"
    elif p < ALPHA and row.loss is not None and row.loss < 0:
        verdict = "improvement"
    return row.model_copy(update={"p_adjusted": p, "verdict": verdict})


def _unmatched(a: Run, b: Run, only: Sequence[str]) -> Iterator[tuple[str, str]]:
    for key in dict.fromkeys((*a.cells, *b.cells)):
        if not _chosen(key, only) or (_ok(a.cells.get(key)) and _ok(b.cells.get(key))):
            continue
        states = [f"{'missing' if cell is None else cell.status} in {name}"
                  for name, cell in (("A", a.cells.get(key)), ("B", b.cells.get(key))) if not _ok(cell)]
        yield key, " and ".join(states)


def _lost(a: Run, b: Run, only: Sequence[str]) -> Iterator[tuple[str, Lost]]:
    for key, cell in a.cells.items():
        found = b.cells.get(key)
        if not _chosen(key, only) or not _ok(cell):
            continue
        if found is None:
            yield key, "missing"
        elif found.status != "ok":
            yield key, found.status


def _chosen(key: str, only: Sequence[str]) -> bool:
    return not only or matches(key, only)


def _ok(cell: CellResult | None) -> bool:
    return cell is not None and cell.status == "ok"


def _silent(key: str, done: int, total: int) -> None:
    """Nobody watches."""


def _relative(loss: float, a: float, b: float) -> float:
    return loss / abs(a or b) if loss else 0.0
