"""Latencies of two runs: as they were found, which is advisory, or measured again side by side, which decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness import identity
from harness.compare.checks import REFUSED, differences
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
from harness.stats import Z_975, Interval, stable_seed
from harness.timing import REOPENING, Outcome, measure_cells

ADVISORY = "measured at different times: advisory; --rerun measures both again, side by side"
_REPLICATES = 2000
_MOST_ROUNDS, _TURN_S = 100, 0.02
BUDGET_S = 7.0
"""For a pair of cells, once they are open."""
_BESIDE_S = 0.005
"""Settling and the spin around each turn."""

STATISTICS: Mapping[str, Callable[[Timing], float]] = {
    "p50_ms": lambda turn: float(np.median(turn.nanoseconds)) * MS,
    "p90_ms": lambda turn: percentile(turn.nanoseconds, 0.9) * MS,
    "p95_ms": lambda turn: percentile(turn.nanoseconds, 0.95) * MS,
    "p99_ms": lambda turn: percentile(turn.nanoseconds, 0.99) * MS,
    "mean_ms": lambda turn: float(turn.nanoseconds.mean()) * MS,
    "cpu_ms": lambda turn: turn.cpu_ns / len(turn.nanoseconds) * MS,
    "throughput": lambda turn: len(turn.nanoseconds) * SECOND / turn.elapsed_ns,
}
"""Of one round, by latency field (gates.OVER_ROUNDS); `throughput` in queries per second, which cancels in a ratio."""
MARGIN = 0.01
"""What counts as equal."""
SESSIONS = 10
"""Of each cell. One session in twenty is 2 to 5 % slower than the others of the same file for as long as it lives,
depending on where its memory happens to lie: it must not decide."""
FEWEST_SESSIONS = 4
"""With fewer, a slow one is more than a quarter of what is seen."""
_TYPICAL = {"p50_ms": 1, "mean_ms": 1, "throughput": -1}
"""Fields that follow the time of a typical query, and whether as its inverse."""


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
            if not outcome.turns:
                return f"run {name}'s export: no rounds"
        return None

    @property
    def disturbed(self) -> bool:
        """Whether something else was at work on the machine."""
        return any(outcome.latency is not None and outcome.latency.noisy for outcome in (self.old, self.new))

    def shift(self, name: str) -> Shift | str:
        """The ratio new / old of a latency field over the rounds; p is that of no ratio beyond MARGIN.

        Where a round has no positive value there is no ratio, but the reason: a coarse clock may count no CPU time.

        On a disturbed machine the fastest query of each round stands for a typical one: where the process has to wait
        for its core, medians of short turns say more about the others than about the model.
        """
        statistic = STATISTICS[name]
        if self.disturbed and name in _TYPICAL:
            def statistic(turn: Timing) -> float:
                return float(turn.nanoseconds.min()) ** _TYPICAL[name]
        new, old = ([statistic(turn) for turn in each.turns] for each in (self.new, self.old))
        if not all(value > 0 for value in (*new, *old)):
            return f"{name} is not positive in every round, so there is no ratio"
        return ratio_shift(new, old, margin=MARGIN)


@dataclass(frozen=True, slots=True)
class Again:
    """Cells measured beside those of a baseline, as gates ask for them. problem: why nothing was measured."""

    pairs: Mapping[str, SideBySide] = field(default_factory=dict)
    problem: str | None = None

    @classmethod
    def of(cls, baseline: Path, new: Run, keys: Sequence[str], progress: Progress) -> Again:
        """Measure; whatever prevents it, or makes it no comparison, is a problem, not an exception."""
        try:
            old = Run.read(baseline, new.host)
            if different := "; ".join(differences(old, new, keys, rerun=True)):
                return cls(problem=REFUSED + different)
            return cls(measure_again(old, new, keys, progress))
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
    pairs = {}
    for key in keys:
        known = [cell.latency.p50_ms or 0.0 for cell in (a.cells[key], b.cells[key]) if cell.latency is not None]
        slowest_s = max(known, default=0.0) / 1e3
        pairs[key] = thorough(_cell(a, key, "A"), slowest_s), thorough(_cell(b, key, "B"), slowest_s)
    return side_by_side(pairs, progress)


def side_by_side(pairs: Mapping[str, tuple[Cell, Cell]], progress: Progress) -> dict[str, SideBySide]:
    """Measure pairs of (old, new) cells in turns, in processes of their own; no two cells have the same key."""
    cells = [cell for pair in pairs.values() for cell in pair]
    outcomes = {outcome.cell.key: outcome for outcome in measure_cells(
        cells, progress, isolated=True, seconds=BUDGET_S * len(pairs), sessions=SESSIONS)}
    return {key: SideBySide(outcomes[old.key], outcomes[new.key]) for key, (old, new) in pairs.items()}


def thorough(cell: Cell, slowest_s: float) -> Cell:
    """The cell with many short turns: two at a time can afford more rounds than a bench of many, and noise needs them.

    slowest_s: of a query of either cell, as far as known.

    As many turns of 20 ms, or of two queries, as two cells can have beside new sessions within BUDGET_S, 100 at most;
    never fewer than the suite asks for, unless the machine is so busy that the time is over before. Scenarios that have
    no such parameters stay as they are.
    """
    setting = cell.latency
    if setting is None or not {"rounds", "min_duration_s"} <= set(type(setting.params).model_fields):
        return cell
    turn = max(_TURN_S, 2 * slowest_s)
    own = setting.params.model_dump()
    rounds = max(own["rounds"], min(_MOST_ROUNDS, int(BUDGET_S / (1 + REOPENING) / 2 / (turn + slowest_s + _BESIDE_S))))
    longer = {"rounds": rounds, "min_duration_s": max(own["min_duration_s"], rounds * _TURN_S)}
    return replace(cell, latency=replace(setting, params=setting.params.model_copy(update=longer)))


def rerun_row(key: str, again: SideBySide) -> ComparisonRow:
    """The p50 of a cell that was measured again."""
    found = again.problem or again.shift("p50_ms")
    if isinstance(found, str) or again.old.latency is None or again.new.latency is None:
        return ComparisonRow(cell=key, metric="p50_ms", a=None, b=None, unit="ms",
                             note=found if isinstance(found, str) else "no rounds")
    return ComparisonRow(
        cell=key, metric="p50_ms", a=again.old.latency.p50_ms, b=again.new.latency.p50_ms, unit="ms",
        change=found.estimate - 1, ci=_less_one(found.interval), loss=found.estimate - 1, p=found.p,
        minimum_detectable=_detectable(found.interval), n=len(again.old.turns), test="signed-rank",
        note=_note(again))


def _note(again: SideBySide) -> str:
    notes = []
    if again.disturbed:
        notes.append("the machine was disturbed: the fastest query of each round decides")
    if (sessions := min(again.old.sessions, again.new.sessions)) < FEWEST_SESSIONS:
        notes.append(f"sessions of each, as opening takes long: {sessions}; one that lies badly in memory may decide")
    return "; ".join(notes)


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
    """From the width of a 95 % interval to what is found beyond MARGIN in 80 % of cases."""
    return None if interval is None else MARGIN + (interval[1] - interval[0]) / 2 / Z_975 * POWER_Z
