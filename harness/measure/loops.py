"""Closed loops: the next query is issued when the last has ended.

* Garbage is collected before warm-up, and the collector is off during queries.
* Warm-up runs windows of at least 10 queries and 20 ms, or of 3 queries where these take more than 20 ms each. It is
  steady when the median of the last window lies within 2 % of the smallest median of the three windows before it. It
  ends after `max_warmup_s` in any case, and says so.
* A loop that continues after other work only settles: untimed queries for 2 ms, at least one.
* A loop ends when both `min_queries` and `min_duration_s` are reached, or at `max_duration_s`.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from harness.contracts import Timing
from harness.measure.clocks import SECOND, Clocks, Nanoseconds, collector_off

_CAPACITY = 1 << 20
"""Most queries of one loop; 8 MB, of which only what is used is touched."""
_SETTLE_NS = 2_000_000
_WINDOW_QUERIES, _SLOW_QUERIES, _WINDOW_NS = 10, 3, 20_000_000


@dataclass(frozen=True, slots=True)
class WarmUp:
    """queries: how many were spent; steady: whether the rule was met before time ran out."""

    queries: int
    steady: bool


def closed_loop(query: Callable[[], None], *, min_queries: int, min_duration_s: float, max_duration_s: float,
                max_warmup_s: float | None, clocks: Clocks | None = None) -> Timing:
    """Issue the next query as soon as the last has ended. max_warmup_s: None settles only.

    Nothing but two clock readings lies around a timed query; bookkeeping happens between queries.
    """
    clocks = clocks or Clocks()
    with collector_off(collect=max_warmup_s is not None):
        if max_warmup_s is None:
            warmup = WarmUp(settle(query, clocks.wall), steady=True)
        else:
            warmup = warm_up(query, max_warmup_s, clocks.wall)
        cpu, start = clocks.cpu(), clocks.wall()
        samples = _timed(query, min_queries, round(min_duration_s * SECOND), round(max_duration_s * SECOND),
                         clocks.wall)
        elapsed, cpu = clocks.wall() - start, clocks.cpu() - cpu
    note = None if warmup.steady else f"not steady after {max_warmup_s:g} s of warm-up"
    return Timing(samples, elapsed, cpu, warmup.queries, note=note)


def cold_start(opened: Callable[[], AbstractContextManager[Callable[[], None]]],
               clocks: Clocks | None = None) -> Timing:
    """Open a session and run it once. parts: "open" and "first" in nanoseconds, which add up."""
    clocks = clocks or Clocks()
    with collector_off(collect=False):
        cpu, start = clocks.cpu(), clocks.wall()
        with opened() as first:
            ready = clocks.wall()
            first()
            done = clocks.wall()
            cpu = clocks.cpu() - cpu
    parts = {"open": np.array([ready - start]), "first": np.array([done - ready])}
    return Timing(np.array([done - start]), done - start, cpu, 0, parts=parts)


def settle(query: Callable[[], None], clock: Callable[[], int] = time.perf_counter_ns) -> int:
    """Queries that bring caches and clock frequency back after other work; how many there were."""
    end, queries = clock() + _SETTLE_NS, 0
    while not queries or clock() < end:
        query()
        queries += 1
    return queries


def warm_up(query: Callable[[], None], max_seconds: float, clock: Callable[[], int] = time.perf_counter_ns, *,
            tolerance: float = 0.02) -> WarmUp:
    """Run windows of queries until the last one's median is steady (the rule above) or time is up."""
    earlier: deque[float] = deque(maxlen=3)
    queries, end = 0, clock() + round(max_seconds * SECOND)
    while True:
        window: list[int] = []
        opened = clock()
        while not _full(len(window), clock() - opened):
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


def _full(queries: int, elapsed: int) -> bool:
    """Whether a window has what it needs; ten slow queries each would leave no time for four windows."""
    if queries >= _WINDOW_QUERIES:
        return elapsed >= _WINDOW_NS
    return queries >= _SLOW_QUERIES and elapsed > queries * _WINDOW_NS


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
