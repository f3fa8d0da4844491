"""Latency of a closed loop: one query after the other, raw nanoseconds, LoadGen's percentile rules.

Rules, in the order they apply:

* Garbage is collected once, then the collector is off until the last query.
* Warm-up runs windows of at least 10 queries and 20 ms. It is steady when the median of the last window lies within
  2 % of the smallest median of the three windows before it. It ends after `max_warmup_s` in any case, and says so.
* The measurement ends when both `min_queries` and `min_duration_s` are reached, or at `max_duration_s`; with fewer than
  `min_queries` it is not valid.
* A percentile is sorted[int(n * p)], as MLPerf LoadGen computes it, and is given only with as many queries as LoadGen's
  early stopping wants for it (confidence 0.99, tolerance 0).
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.contracts import Timing
from harness.results import LatencyResult
from harness.stats import block_bootstrap_median

Nanoseconds = NDArray[np.int64]

MIN_QUERIES = {"p50": 11, "p90": 64, "p95": 130, "p99": 662}
"""Queries that LoadGen wants behind each percentile."""
_FRACTIONS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
_CAPACITY = 1 << 20
"""Most queries of one measurement; 8 MB, of which only what is used is touched."""
_SECOND = 1_000_000_000
_MS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Both in nanoseconds; replaced in tests."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns


@dataclass(frozen=True, slots=True)
class WarmUp:
    """queries: how many were spent; steady: whether the rule was met before time ran out."""

    queries: int
    steady: bool


def closed_loop(query: Callable[[], None], *, min_queries: int, min_duration_s: float, max_duration_s: float,
                max_warmup_s: float, clocks: Clocks | None = None) -> Timing:
    """Issue the next query as soon as the last has ended, single stream.

    Nothing but two clock readings lies around a timed query; bookkeeping happens between queries.
    """
    clocks = clocks or Clocks()
    with collector_off():
        warmup = warm_up(query, max_warmup_s, clocks.wall)
        cpu, start = clocks.cpu(), clocks.wall()
        samples = _timed(query, min_queries, round(min_duration_s * _SECOND), round(max_duration_s * _SECOND),
                         clocks.wall)
        elapsed, cpu = clocks.wall() - start, clocks.cpu() - cpu
    notes = [] if warmup.steady else [f"not steady after {max_warmup_s:g} s of warm-up"]
    enough = len(samples) >= min_queries
    if not enough:
        notes.append(f"{len(samples)} of at least {min_queries} queries in {max_duration_s:g} s")
    return Timing(samples, elapsed, cpu, warmup.queries, valid=enough, why="; ".join(notes) or None)


def warm_up(query: Callable[[], None], max_seconds: float, clock: Callable[[], int] = time.perf_counter_ns, *,
            window_queries: int = 10, window_ns: int = 20_000_000, tolerance: float = 0.02) -> WarmUp:
    """Run windows of queries until the last one's median is steady (the rule above) or time is up."""
    earlier: deque[float] = deque(maxlen=3)
    queries, end = 0, clock() + round(max_seconds * _SECOND)
    while True:
        window: list[int] = []
        opened = clock()
        while len(window) < window_queries or clock() - opened < window_ns:
            start = clock()
            query()
            window.append(clock() - start)
            if clock() >= end:
                return WarmUp(queries + len(window), steady=False)
        queries += len(window)
        median = statistics.median(window)
        if len(earlier) == earlier.maxlen and abs(median - min(earlier)) <= tolerance * min(earlier):
            return WarmUp(queries, steady=True)
        earlier.append(median)


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect now, keep the garbage collector off inside, restore it as it was."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def latency_result(timing: Timing, scenario: str, batch: int, threads: int, *, seed: int = 0) -> LatencyResult:
    """Milliseconds per query, samples per second, and the reason for every percentile that is not given."""
    samples = timing.nanoseconds
    n = len(samples)
    percentiles = {f"{name}_ms": percentile(samples, fraction) * _MS if n >= MIN_QUERIES[name] else None
                   for name, fraction in _FRACTIONS.items()}
    interval = block_bootstrap_median(samples, seed=seed) if n >= MIN_QUERIES["p50"] else None
    return LatencyResult(
        scenario=scenario, batch=batch, threads=threads, n=n, **percentiles,
        mean_ms=float(samples.mean()) * _MS if n else None,
        cpu_ms=timing.cpu_ns / n * _MS if n else None,
        throughput=n * batch * _SECOND / timing.elapsed_ns if timing.elapsed_ns else None,
        ci=(interval[0] * _MS, interval[1] * _MS) if interval else None,
        valid=timing.valid, why="; ".join(filter(None, [timing.why, _too_few(n)])) or None,
    )


def percentile(samples: Nanoseconds, fraction: float) -> int:
    """sorted[int(n * fraction)]: a measured value, never an interpolated one. Raises ValueError without samples."""
    if not len(samples):
        raise ValueError("a percentile of no samples")
    rank = min(int(len(samples) * fraction), len(samples) - 1)
    return int(np.partition(samples, rank)[rank])


def _too_few(n: int) -> str | None:
    missing = [f"{name} needs {least}" for name, least in MIN_QUERIES.items() if n < least]
    return f"{n} queries: " + ", ".join(missing) if missing else None


def _timed(query: Callable[[], None], least: int, min_ns: int, max_ns: int, clock: Callable[[], int]) -> Nanoseconds:
    capacity = max(least, _CAPACITY)
    samples = np.empty(capacity, np.int64)  # not zeroed: pages that are not used are never touched
    buffer = memoryview(samples)  # type: ignore[arg-type]  # assigning through it costs half of a numpy element
    begun = clock()
    soonest, latest = begun + min_ns, begun + max_ns
    done = 0
    while done < capacity:
        start = clock()
        query()
        stop = clock()
        buffer[done] = stop - start
        done += 1
        if (stop >= soonest and done >= least) or stop >= latest:
            break
    return samples[:done].copy()
