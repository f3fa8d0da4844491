"""Session options chosen by measuring: what is fastest depends on the graph, the CPU and what else is running."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contracts import TensorInfo
from harness.onnx.session import Optimization, OrtSession, open_session

_ROUNDS = 5
_TURN_NS = 60_000_000
"""Of one candidate in one round."""
_GAIN = 0.98
"""A later candidate must take less than this of the time of an earlier one, or the simpler options stay."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Options of a session. optimization "all" has the blocked layout of this CPU, "extended" the plain one."""

    threads: int
    allow_spinning: bool
    optimization: Optimization


def candidates(threads: int) -> list[Candidate]:
    """Simplest first: as many threads as allowed or fewer, spinning or not, blocked layout or not."""
    counts = dict.fromkeys((threads, *(2**power for power in range(threads.bit_length()) if 2**power < threads)))
    return [Candidate(count, spinning, optimization) for optimization in _LEVELS for count in counts
            for spinning in ((False, True) if count > 1 else (False,))]


_LEVELS: tuple[Optimization, ...] = ("all", "extended")


def tuned_session(path: Path, threads: int, open_: Callable[..., OrtSession] = open_session) -> OrtSession:
    """The session with the lowest median latency of one sample; its `settings` say what was chosen and what it took.

    One candidate is open at a time, because spinning threads of one disturb the others; they are measured in rounds, in
    alternating order. A graph with other free lengths than the batch can not be tuned, and gets the first candidate.
    Raises as open_session.
    """
    tried = candidates(threads)
    times: dict[Candidate, list[float]] = {candidate: [] for candidate in tried}
    for round_ in range(_ROUNDS):
        for candidate in tried if round_ % 2 else reversed(tried):
            median = _median(path, candidate, open_)
            if median is None:
                return _with_settings(open_(path, **asdict(tried[0])), tried[0], {"tuned": False})
            times[candidate].append(median)
    medians = {candidate: statistics.median(found) for candidate, found in times.items()}
    best = tried[0]
    for candidate in tried[1:]:
        if medians[candidate] < _GAIN * medians[best]:
            best = candidate
    facts = {"tuned": True, "median_ms": round(medians[best] / 1e6, 6),
             "default_ms": round(medians[tried[0]] / 1e6, 6), "candidates": len(tried)}
    return _with_settings(open_(path, **asdict(best)), best, facts)


def _with_settings(session: OrtSession, candidate: Candidate, facts: Mapping[str, Any]) -> OrtSession:
    session.settings = {**asdict(candidate), **facts}
    return session


def _median(path: Path, candidate: Candidate, open_: Callable[..., OrtSession]) -> float | None:
    """Nanoseconds of one sample; None when the inputs' lengths are not known."""
    session = open_(path, **asdict(candidate))
    try:
        feeds = dict(_feeds(session.inputs))
        if len(feeds) != len(session.inputs):
            return None
        query = session.bind(feeds)
        query()
        found: list[int] = []
        end = time.perf_counter_ns() + _TURN_NS
        while not found or time.perf_counter_ns() < end:
            start = time.perf_counter_ns()
            query()
            found.append(time.perf_counter_ns() - start)
        return statistics.median(found)
    finally:
        session.close()


def _feeds(inputs: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """Values for each input whose lengths are known but for the batch."""
    info: TensorInfo
    for info in inputs:
        dims = (1 if index == 0 and not isinstance(dim, int) else dim for index, dim in enumerate(info.shape))
        shape = [dim for dim in dims if isinstance(dim, int)]
        if len(shape) == len(info.shape) and np.dtype(info.dtype).kind in "fiub":
            yield info.name, np.full(shape, 0.5 if np.dtype(info.dtype).kind == "f" else 0, info.dtype)
