"""The sessions of one backend in one process: opens them and measures one turn at a time, when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness import identity
from harness.card import InputSpec
from harness.contracts import InferenceSession, ModelFile, Scenario, Subject, Timing
from harness.errors import BackendUnavailable
from harness.failures import error_result, peak_rss_mb
from harness.geometry import normalize
from harness.gpus import GpuMeter
from harness.host import blame, create
from harness.machine import EnergyMeter, queueing_ns
from harness.measure import warm_up
from harness.onnx.flops import gflop as model_gflop
from harness.opened import OpenedModel, chosen, executed, open_model
from harness.plan import Cell, LatencySetting
from harness.results import ErrorResult
from harness.stats import stable_seed
from harness.timing.feeds import open_bare
from harness.timing.peak import peak_gflops

_WARM_UP_S = 0.5
"""At most, of a session that replaces one."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a cell once its model is open.

    gflop: of one sample; peak_gflops: what a float32 matrix product reaches per second on this backend and threads.
    """

    runs_on: str
    rounds: int
    file: ModelFile
    executed: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    gflop: float | None = None
    peak_gflops: float | None = None


class Peaks(NamedTuple):
    """Megabytes of a process. gpu: now, which is the most so far, as engines keep what they once had."""

    rss: float | None = None
    gpu: float | None = None


UNKNOWN = Peaks()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a cell has no measurement. reason: the cell is skipped; error: it failed."""

    reason: str | None = None
    error: ErrorResult | None = None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        if isinstance(error, BackendUnavailable):
            return cls(reason=str(error))
        return cls(error=error_result(error))


@dataclass(slots=True)
class Station:
    """Opens cells and measures them. Cells that differ in nothing but scenario and batch share one session."""

    _models: dict[tuple[str, str, int], OpenedModel] = field(default_factory=dict)
    _cells: dict[str, tuple[Scenario, Cell, Subject]] = field(default_factory=dict)
    _peaks: dict[int, float | None] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _energy: EnergyMeter = field(default_factory=EnergyMeter)
    _gpus: GpuMeter = field(default_factory=GpuMeter)

    def open(self, cell: Cell) -> Opening | Failure:
        """Get a latency cell ready. Nothing is raised: whatever happens becomes a Failure."""
        try:
            return self._open(cell)
        except Exception as error:  # noqa: BLE001  a failed cell is a result
            return Failure.of(error)

    def measure(self, key: str, turn: int) -> Timing | Failure:
        """One turn of an opened cell."""
        scenario, cell, subject = self._cells[key]
        energy, gpus, queueing = self._energy.read(), self._gpus.joules(), queueing_ns()
        start = time.perf_counter_ns()
        try:
            with blame(_setting(cell).spec):
                timing = scenario.measure(subject, turn)
            spent = time.perf_counter_ns() - start
            return replace(timing, joules=_since(energy, self._energy.read()),
                           gpu_joules=_since(gpus, self._gpus.joules()),
                           queueing=_share(_since(queueing, queueing_ns()), spent))
        except Exception as error:  # noqa: BLE001  a failed cell is a result
            return Failure.of(error)

    def reopen(self, cells: Sequence[Cell]) -> list[Opening | Failure]:
        """New sessions for opened cells, warmed up, instead of the ones that they had. Nothing is raised."""
        self.close()
        return [self._again(cell) for cell in cells]

    def peaks_mb(self) -> Peaks:
        """Of this process so far."""
        return Peaks(peak_rss_mb(), self._gpus.used_mb())

    def subject(self, key: str) -> Subject:
        """What scenarios time of an opened cell."""
        return self._cells[key][2]

    def close(self) -> None:
        """Close the sessions; the station can open cells again."""
        self._cells.clear()
        self._models.clear()
        self._stack.close()

    def _again(self, cell: Cell) -> Opening | Failure:
        answer = self.open(cell)
        try:
            if isinstance(answer, Opening):
                warm_up(self.subject(cell.key).query, _WARM_UP_S)
        except Exception as error:  # noqa: BLE001  a failed cell is a result
            return Failure.of(error)
        return answer

    def _open(self, cell: Cell) -> Opening:
        setting = _setting(cell)
        file = identity.locate_model(cell.model, cell.precision)
        with blame(setting.spec):
            scenario: Scenario = create(setting.spec, setting.params)
            rounds = scenario.rounds
        query, session = self._query(cell, file, setting)
        subject = Subject(query, partial(_opened, cell), setting.batch, stable_seed(cell.seed, cell.key))
        self._cells[cell.key] = scenario, cell, subject
        gflop = self._gflop(cell)
        return Opening(session.runs_on, rounds, file, executed(session), chosen(session), gflop,
                       self._peak(cell) if gflop else None)

    def _query(self, cell: Cell, file: ModelFile,
               setting: LatencySetting) -> tuple[Callable[[], None], InferenceSession]:
        """What is timed, and the session that it runs on."""
        if setting.feeds is not None:  # sessions of graphs without a card may be compiled for their shapes
            bare = self._stack.enter_context(open_bare(cell, file, setting))
            return bare.session.bind(bare.feeds), bare.session
        place = (cell.model.id, cell.precision, setting.threads)
        if place not in self._models:
            self._models[place] = self._stack.enter_context(open_model(cell, file, setting.threads))
        runner = self._models[place].runner
        return runner.bind(synthetic_inputs(runner.card.input, setting.batch, cell.seed)), runner.session

    def _gflop(self, cell: Cell) -> float | None:
        """Of one sample; a graph without a card says too little."""
        model = self._models.get((cell.model.id, cell.precision, _setting(cell).threads))
        return None if model is None else model_gflop(model.path, model.card)

    def _peak(self, cell: Cell) -> float | None:
        threads = _setting(cell).threads
        if threads not in self._peaks:
            self._peaks[threads] = peak_gflops(cell, threads)
        return self._peaks[threads]


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _share(part: float | None, whole: int) -> float | None:
    return None if part is None else max(0.0, part / whole)


@contextmanager
def _opened(cell: Cell) -> Iterator[Callable[[], None]]:
    """A session of its own, and a call that runs it once."""
    setting, file = _setting(cell), identity.locate_model(cell.model, cell.precision)
    if setting.feeds is not None:
        with open_bare(cell, file, setting) as bare:
            yield bare.run_once
        return
    with open_model(cell, file, setting.threads) as model:
        inputs = synthetic_inputs(model.card.input, setting.batch, cell.seed)
        yield lambda: model.runner.run_once(inputs)


def _setting(cell: Cell) -> LatencySetting:
    if cell.latency is None:
        raise ValueError(f"{cell.key} is no latency cell")
    return cell.latency


def synthetic_inputs(spec: InputSpec, batch: int, seed: int) -> NDArray[np.float32]:
    """Uniform noise as a model would see it: (N, C, h, w) or (N, h, w, C) float32, the same for the same seed."""
    rng = np.random.default_rng(stable_seed("inputs", seed))
    return normalize(rng.integers(0, 256, (batch, *spec.size, spec.channels), dtype=np.uint8), spec)
