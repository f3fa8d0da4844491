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
from harness.failures import peak_rss_mb
from harness.host import create
from harness.measure import Spin, latency_result
from harness.plan import Cell
from harness.results import LatencyResult
from harness.stats import stable_seed
from harness.timing.remote import RemoteStation
from harness.timing.station import Failure, Opening, Station

FEWEST_ROUNDS = 10
"""What a measurement with a time limit has at least."""
SESSIONS = 5
"""Of each cell of a bench."""
REOPENING = 0.5
"""Of the time that turns took, what new sessions may take besides."""


class AnyStation(Protocol):
    """A Station here or in another process."""

    def open(self, cell: Cell) -> Opening | Failure: ...

    def reopen(self, cells: Sequence[Cell]) -> list[Opening | Failure]: ...

    def measure(self, key: str, turn: int) -> Timing | Failure: ...

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
    peak_rss_mb: float | None = None
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

    One backend is measured in this process; of several each has its own, and only one works at a time. Whatever
    happens to a cell, the others go on. fresh_process: this process did nothing else, so that its peak is a cell's;
    isolated: nothing is opened in this process, even of one backend; seconds: no round is started later, once there
    are FEWEST_ROUNDS; sessions: each cell has so many, one after the other, because some sessions are slower than others
    of the same file for as long as they live; fewer where opening them takes long.
    """
    outcomes = [Outcome(cell) for cell in cells]
    with _stations(cells, isolated) as stations:
        for outcome in outcomes:
            _open(outcome, stations[outcome.cell.backend.id])
        spin = Spin()
        latest = math.inf if seconds is None else time.perf_counter() + seconds
        _measure(outcomes, stations, spin, progress, latest, sessions)
        _add_peaks(outcomes, stations, fresh_process)
    session = uuid.uuid4().hex
    for outcome in outcomes:
        if outcome.open:
            _summarize(outcome, spin, session)
    return outcomes


def _measure(outcomes: Sequence[Outcome], stations: dict[str, AnyStation], spin: Spin, progress: Progress,
             latest: float, sessions: int) -> None:
    rounds = max((outcome.opening.rounds for outcome in outcomes if outcome.opening), default=0)
    reopening = _Reopening(outcomes, stations, sessions)
    order = random.Random(stable_seed("turns", *(outcome.cell.key for outcome in outcomes)))
    before = spin()
    for round_ in range(rounds):
        if round_ >= FEWEST_ROUNDS and time.perf_counter() > latest:
            break
        if reopening.due(round_, rounds):
            reopening()
            before = spin()
        turns = [outcome for outcome in outcomes if outcome.has_turn(round_, rounds)]
        order.shuffle(turns)  # so that nobody always follows the same cell
        for outcome in turns:
            _turn(outcome, stations[outcome.cell.backend.id])
            outcome.beside += [before, before := spin()]
            progress(outcome.cell.key, len(outcome.turns), outcome.opening.rounds if outcome.opening else 0)


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
    """New sessions for all cells now and then. The next is expected to take as long as the last."""

    outcomes: Sequence[Outcome]
    stations: dict[str, AnyStation]
    sessions: int
    _expected: float = field(init=False)
    _spent: float = 0.0
    _began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._expected = sum(outcome.seconds for outcome in self.outcomes)

    def due(self, round_: int, rounds: int) -> bool:
        """Whether the sessions end before this round, which they do not where new ones would take too long."""
        if not round_ or round_ * self.sessions // rounds == (round_ - 1) * self.sessions // rounds:
            return False
        turns = time.perf_counter() - self._began - self._spent
        return self._spent + self._expected <= REOPENING * turns

    def __call__(self) -> None:
        """Open them; a cell that can not be opened again fails."""
        started = time.perf_counter()
        for name, station in self.stations.items():
            own = [outcome for outcome in self.outcomes if outcome.open and outcome.cell.backend.id == name]
            for outcome, answer in zip(own, station.reopen([outcome.cell for outcome in own]), strict=True):
                if isinstance(answer, Failure):
                    outcome.failure = answer
                else:
                    outcome.sessions += 1
        self._expected = time.perf_counter() - started
        self._spent += self._expected


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
    outcome.latency = result.model_copy(update={"session": session, "noisy": spin.noisy(outcome.beside, result.queueing),
                                                "sessions": outcome.sessions, **_speed(outcome.opening, result)})


def _speed(opening: Opening | None, latency: LatencyResult) -> dict[str, float]:
    if opening is None or not opening.gflop or not latency.p50_ms:
        return {}
    speed = opening.gflop * latency.batch / latency.p50_ms * 1e3
    return {"gflops": speed, **({"peak_share": speed / opening.peak_gflops} if opening.peak_gflops else {})}


@contextmanager
def _stations(cells: Sequence[Cell], isolated: bool) -> Iterator[dict[str, AnyStation]]:
    backends = list(dict.fromkeys(cell.backend.id for cell in cells))
    stations: dict[str, AnyStation] = {}
    try:
        for backend in backends:
            stations[backend] = Station() if len(backends) == 1 and not isolated else RemoteStation()
        yield stations
    finally:
        for station in stations.values():
            station.close()


def _add_peaks(outcomes: Sequence[Outcome], stations: dict[str, AnyStation], fresh_process: bool) -> None:
    """Peak memory, where a process of its own had one model: of several nobody could tell whose it was."""
    for name, station in stations.items():
        own = [outcome for outcome in outcomes if outcome.cell.backend.id == name]
        if len({(outcome.cell.model.id, outcome.cell.precision) for outcome in own}) > 1:
            continue
        if isinstance(station, RemoteStation):
            peak = station.peak_rss_mb()
        else:
            peak = peak_rss_mb() if fresh_process else None
        for outcome in own:
            outcome.peak_rss_mb = peak
