"""Latencies of two runs: as they were found, which is advisory, or measured again side by side, which decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness import identity
from harness.compare.pairing import POWER_Z
from harness.compare.records import ComparisonRow
from harness.compare.runs import Run
from harness.contracts import Progress, Timing
from harness.errors import HandledError, UsageError
from harness.measure.clocks import MS, SECOND
from harness.measure.percentiles import percentile
from harness.plan import Cell
from harness.results import CellResult
from harness.signedrank import Shift, ratio_shift
from harness.stats import Interval, stable_seed
from harness.timing import Outcome, measure_cells

ADVISORY = "measured at different times: advisory; --rerun measures both again, side by side"
_REPLICATES = 2000

STATISTICS: Mapping[str, Callable[[Timing], float]] = {
    "p50_ms": lambda turn: float(np.median(turn.nanoseconds)) * MS,
    "p90_ms": lambda turn: percentile(turn.nanoseconds, 0.9) * MS,
    "p95_ms": lambda turn: percentile(turn.nanoseconds, 0.95) * MS,
    "p99_ms": lambda turn: percentile(turn.nanoseconds, 0.99) * MS,
    "mean_ms": lambda turn: float(turn.nanoseconds.mean()) * MS,
    "cpu_ms": lambda turn: turn.cpu_ns / len(turn.nanoseconds) * MS,
    "throughput": lambda turn: len(turn.nanoseconds) * SECOND / turn.elapsed_ns,
}
"""Of one round, by latency field; `throughput` in queries per second, which cancels in a ratio."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One cell of two runs, measured in the same rounds. Raises nothing: `problem` says why there is no shift."""

    old: Outcome
    new: Outcome

    @property
    def problem(self) -> str | None:
        for name, outcome in (("A", self.old), ("B", self.new)):
            if outcome.failure is not None:
                error = outcome.failure.error
                return f"run {name}'s export: {error.message if error else outcome.failure.reason}"
        return None

    def shift(self, name: str) -> Shift:
        """The ratio new / old of a latency field over the rounds."""
        statistic = STATISTICS[name]
        return ratio_shift([statistic(turn) for turn in self.new.turns], [statistic(turn) for turn in self.old.turns])


@dataclass(frozen=True, slots=True)
class Again:
    """Cells measured beside those of a baseline, as gates ask for them. problem: why nothing was measured."""

    pairs: Mapping[str, SideBySide] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def of(cls, baseline: Path, new: Run, keys: Sequence[str], progress: Progress) -> Again:
        """Measure; whatever prevents it is a problem, not an exception."""
        try:
            return cls(measure_again(Run.read(baseline, new.host), new, keys, progress))
        except HandledError as error:
            return cls(problem=str(error))

    def shift(self, key: str, name: str) -> Shift | str:
        """The ratio new / old of a latency field, or why there is none."""
        if key not in self.pairs:
            return "not measured beside the baseline's"
        pair = self.pairs[key]
        if pair.problem is not None:
            return pair.problem
        return pair.shift(name) if name in STATISTICS else f"{name} can not be compared over rounds"


def measure_again(a: Run, b: Run, keys: Sequence[str], progress: Progress) -> dict[str, SideBySide]:
    """Measure latency cells of both runs in turns, in processes of their own.

    Raises UsageError when the export that a run measured is not there any more.
    """
    pairs = {key: (_cell(a, key, "A"), _cell(b, key, "B")) for key in keys}
    cells = [cell for pair in pairs.values() for cell in pair]
    outcomes = {outcome.cell.key: outcome for outcome in measure_cells(cells, progress, isolated=True)}
    return {key: SideBySide(outcomes[old.key], outcomes[new.key]) for key, (old, new) in pairs.items()}


def rerun_row(key: str, again: SideBySide) -> ComparisonRow:
    """The p50 of a cell that was measured again."""
    if again.problem is not None or again.old.latency is None or again.new.latency is None:
        return ComparisonRow(cell=key, metric="p50_ms", a=None, b=None, unit="ms", note=again.problem or "no rounds")
    found = again.shift("p50_ms")
    return ComparisonRow(
        cell=key, metric="p50_ms", a=again.old.latency.p50_ms, b=again.new.latency.p50_ms, unit="ms",
        change=found.estimate - 1, ci=_less_one(found.interval), loss=found.estimate - 1, p=found.p,
        minimum_detectable=_detectable(found.interval), n=len(again.old.turns), test="signed-rank",
        note="the machine was disturbed" if again.old.latency.noisy or again.new.latency.noisy else "")


def advisory_row(key: str, a: CellResult, b: CellResult) -> ComparisonRow:
    """The p50 of a cell as both runs found it: rounds are drawn from each, and they are not paired."""
    ours, theirs = a.latency, b.latency
    if ours is None or theirs is None or not ours.rounds or not theirs.rounds:
        return ComparisonRow(cell=key, metric="p50_ms", a=ours and ours.p50_ms, b=theirs and theirs.p50_ms, unit="ms",
                             verdict="advisory", note="without rounds")
    rng = np.random.default_rng(stable_seed("advisory", key))
    drawn = [np.median(rng.choice(each, (_REPLICATES, len(each))), axis=1) for each in (ours.rounds, theirs.rounds)]
    low, high = np.quantile(drawn[1] / drawn[0], (0.025, 0.975)) - 1
    change = float(np.median(theirs.rounds) / np.median(ours.rounds)) - 1
    return ComparisonRow(cell=key, metric="p50_ms", a=ours.p50_ms, b=theirs.p50_ms, unit="ms", change=change,
                         ci=(float(low), float(high)), loss=change, n=min(len(ours.rounds), len(theirs.rounds)),
                         verdict="advisory", note=ADVISORY)


def _cell(run: Run, key: str, name: str) -> Cell:
    cell = run.plan.get(key)
    told = f"run {name} ({run.path}): {key} can not be measured again"
    if cell is None:
        raise UsageError(f"{told}: its suite does not have this cell")
    try:
        path = Path(identity.locate_model(cell.model, cell.precision).path)
    except HandledError as error:
        raise UsageError(f"{told}: {error}") from None
    measured = run.cells[key].model_sha256
    if measured is not None and identity.file_sha256(path) != measured:
        raise UsageError(f"{told}: {path} is not the file that was measured; keep the export of a baseline in a folder "
                         "of its own and name it in its suite (models.NAME.export)")
    return replace(cell, model=replace(cell.model, id=f"{name}:{cell.model.id}"))


def _less_one(interval: Interval | None) -> Interval | None:
    return None if interval is None else (interval[0] - 1, interval[1] - 1)


def _detectable(interval: Interval | None) -> float | None:
    """From the width of a 95 % interval to what is found in 80 % of cases."""
    return None if interval is None else (interval[1] - interval[0]) / 2 / 1.959963984540054 * POWER_Z
