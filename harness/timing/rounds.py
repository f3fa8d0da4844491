"""Rounds: every cell has a turn in each, in an order that is drawn anew, and the machine is watched in between."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from harness.contracts import Progress, Timing
from harness.host import create
from harness.measure import Spin, latency_result
from harness.plan import Cell
from harness.results import LatencyResult
from harness.stats import stable_seed
from harness.timing.remote import RemoteStation
from harness.timing.station import UNKNOWN, Failure, Opening, Peaks, Station

FEWEST_ROUNDS = 10
"""What a measurement with a time limit has at least."""
SESSIONS = 5
"""Of each cell of a bench."""
REOPENING = 0.5
"""Of the time that turns took, what new sessions may take besides."""


Place = tuple[str, int]
"""Backend and threads: what has a process of its own, because some engines set their threads for a whole process."""


class AnyStation(Protocol):
    """A Station here or in another process."""

    def open(self, cell: Cell) -> Opening | Failure: ...

    def reopen(self, cells: Sequence[Cell]) -> list[Opening | Failure]: ...

    def measure(self, key: str, turn: int) -> Timing | Failure: ...

    def peaks_mb(self) -> Peaks: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Outcome:
    """One cell of a measurement. turns: what it measured, in order; beside: spins before and after each of them."""

    cell: Cell
    opening: Opening | None = None
    failure: Failure | None = None
    turns: list[Timing] = field(default_factory=list)
    beside: list[int] = field(default_factory=list)
    latency: LatencyResult | None = None
    seconds: float = 0.0
    peaks: Peaks = UNKNOWN
    sessions: int = 1

    @property
    def open(self) -> bool:
        """Whether it can still be measured."""
        return self.opening is not None and self.failure is None

    def has_turn(self, round_: int, rounds: int) -> bool:
        """Cells with fewer rounds than others have theirs spread evenly."""
        own = self.opening.rounds if self.opening else 0
        return self.open and round_ * own // rounds != (round_ + 1) * own // rounds


def measure_cells(cells: Sequence[Cell], progress: Progress, *, fresh_process: bool = False,
                  isolated: bool = False, seconds: float | None = None, sessions: int = SESSIONS) -> list[Outcome]:
    """Measure latency cells in turns.

    One backend is measured in this process; of several, or with several numbers of threads, each has its own, and only
    one works at a time. Whatever happens to a cell, the others go on.

    fresh_process: this process did nothing else, so that its peak is a cell's; isolated: nothing is opened in this
    process, even of one backend; seconds: no round is started later, once there are FEWEST_ROUNDS; sessions: each cell
    has so many, one after the other, because some sessions are slower than others of the same file for as long as they
    live; fewer where opening them takes long.
    """
    outcomes = [Outcome(cell) for cell in cells]
    with _stations(cells, isolated) as stations:
        for station in stations.values():
            station.peaks_mb()  # answers once its process has started, which is no part of opening a model
        for outcome in outcomes:
            _open(outcome, stations[_place(outcome.cell)])
        spin = Spin()
        latest = math.inf if seconds is None else time.perf_counter() + seconds
        _measure(outcomes, stations, spin, progress, latest, sessions)
        _add_peaks(outcomes, stations, fresh_process)
    session = uuid.uuid4().hex
    for outcome in outcomes:
        if outcome.open:
            _summarize(outcome, spin, session)
    return outcomes


def _measure(outcomes: Sequence[Outcome], stations: dict[Place, AnyStation], spin: Spin, progress: Progress,
             latest: float, sessions: int) -> None:
    rounds = max((outcome.opening.rounds for outcome in outcomes if outcome.opening), default=0)
    reopenings = [_Reopening(station, [outcome for outcome in outcomes if _place(outcome.cell) == place], sessions)
                  for place, station in stations.items()]
    order = random.Random(stable_seed("turns", *(outcome.cell.key for outcome in outcomes)))
    before = spin()
    for round_ in range(rounds):
        if round_ >= FEWEST_ROUNDS and time.perf_counter() > latest:
            break
        for reopening in reopenings:
            if reopening.due(round_, rounds):
                reopening()
                before = spin()
        turns = [outcome for outcome in outcomes if outcome.has_turn(round_, rounds)]
        order.shuffle(turns)  # so that nobody always follows the same cell
        for outcome in turns:
            _turn(outcome, stations[_place(outcome.cell)])
            outcome.beside += [before, before := spin()]
            progress(outcome.cell.key, len(outcome.turns), outcome.opening.rounds if outcome.opening else 0)


def _place(cell: Cell) -> Place:
    return cell.backend.id, cell.latency.threads if cell.latency else 0


def _open(outcome: Outcome, station: AnyStation) -> None:
    started = time.perf_counter()
    answer = station.open(outcome.cell)
    outcome.seconds += time.perf_counter() - started
    if isinstance(answer, Failure):
        outcome.failure = answer
    else:
        outcome.opening = answer


@dataclass(slots=True)
class _Reopening:
    """New sessions for the cells of one station now and then. The next is expected to take as long as the last.

    Each station decides by its own times: where one engine compiles for long, the others still have theirs. There are
    none where a session chose its settings by measuring: another could choose differently.
    """

    station: AnyStation
    outcomes: Sequence[Outcome]
    sessions: int
    _opening: float = field(init=False)
    _expected: float = field(init=False)
    _spent: float = 0.0

    def __post_init__(self) -> None:
        self._opening = self._expected = self._seconds()

    def due(self, round_: int, rounds: int) -> bool:
        """Whether the sessions end before this round, which they do not where new ones would take too long."""
        if any(outcome.opening and outcome.opening.settings for outcome in self.outcomes):
            return False
        if not round_ or round_ * self.sessions // rounds == (round_ - 1) * self.sessions // rounds:
            return False
        return self._spent + self._expected <= REOPENING * (self._seconds() - self._opening)

    def __call__(self) -> None:
        """Open them; a cell that can not be opened again fails."""
        started = time.perf_counter()
        own = [outcome for outcome in self.outcomes if outcome.open]
        for outcome, answer in zip(own, self.station.reopen([outcome.cell for outcome in own]), strict=True):
            if isinstance(answer, Failure):
                outcome.failure = answer
            else:
                outcome.sessions += 1
        self._expected = time.perf_counter() - started
        self._spent += self._expected

    def _seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)


def _turn(outcome: Outcome, station: AnyStation) -> None:
    started = time.perf_counter()
    answer = station.measure(outcome.cell.key, len(outcome.turns))
    outcome.seconds += time.perf_counter() - started
    if isinstance(answer, Failure):
        outcome.failure = answer
    else:
        outcome.turns.append(answer)


def _summarize(outcome: Outcome, spin: Spin, session: str) -> None:
    cell, setting = outcome.cell, outcome.cell.latency
    if setting is None:
        raise ValueError(f"{cell.key} is no latency cell")
    try:
        invalid = create(setting.spec, setting.params).invalidity(outcome.turns)
        result = latency_result(outcome.turns, setting.spec.name, setting.batch, setting.threads, invalid=invalid,
                                seed=stable_seed(cell.seed, cell.key))
    except Exception as error:  # noqa: BLE001  a plugin's scenario
        outcome.failure = Failure.of(error)
        return
    noisy = spin.noisy(outcome.beside, result.queueing)
    outcome.latency = result.model_copy(update={"session": session, "noisy": noisy, "sessions": outcome.sessions,
                                                **_speed(outcome, result)})


def _speed(outcome: Outcome, latency: LatencyResult) -> dict[str, float]:
    opening, setting = outcome.opening, outcome.cell.latency
    if opening is None or setting is None or not opening.gflop or not latency.p50_ms or not setting.spec.model_only:
        return {}
    speed = opening.gflop * latency.batch / latency.p50_ms * 1e3
    return {"gflops": speed, **({"peak_share": speed / opening.peak_gflops} if opening.peak_gflops else {})}


@contextmanager
def _stations(cells: Sequence[Cell], isolated: bool) -> Iterator[dict[Place, AnyStation]]:
    places = list(dict.fromkeys(map(_place, cells)))
    stations: dict[Place, AnyStation] = {}
    try:
        for place in places:
            stations[place] = Station() if len(places) == 1 and not isolated else RemoteStation()
        yield stations
    finally:
        for station in stations.values():
            station.close()


def _add_peaks(outcomes: Sequence[Outcome], stations: dict[Place, AnyStation], fresh_process: bool) -> None:
    """Peak memory, where a process of its own had one model: of several nobody could tell whose it was."""
    for place, station in stations.items():
        own = [outcome for outcome in outcomes if _place(outcome.cell) == place]
        if len({(outcome.cell.model.id, outcome.cell.precision) for outcome in own}) > 1:
            continue
        peaks = station.peaks_mb()
        for outcome in own:
            outcome.peaks = peaks if fresh_process or isinstance(station, RemoteStation) else UNKNOWN
