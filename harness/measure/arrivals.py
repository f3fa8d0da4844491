"""An open loop: queries arrive by a Poisson process whether or not the last has ended, and wait their turn.

Latency counts from the scheduled arrival, so a slow query delays those that queue behind it and coordinated omission
(Tene 2013) can not happen. One server takes the queue in order; the schedule is drawn before the first arrival.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.contracts import Timing
from harness.measure.clocks import SECOND, Clocks, Nanoseconds, collector_off
from harness.measure.loops import WarmUp, settle, warm_up

_SPIN_NS = 200_000
"""So long before an arrival the wait turns from sleeping, which may oversleep, to reading the clock."""


def poisson_arrivals(count: int, rate: float, seed: int) -> Nanoseconds:
    """(count,) int64 nanoseconds since the start, exponential gaps at `rate` per second (LoadGen's Server scenario)."""
    gaps = np.random.default_rng(seed).exponential(SECOND / rate, count)
    return np.cumsum(gaps).astype(np.int64)


def open_loop(query: Callable[[], None], arrivals: Nanoseconds, *, max_duration_s: float, max_warmup_s: float | None,
              clocks: Clocks | None = None) -> Timing:
    """Serve the arrivals in order. max_warmup_s: None settles only.

    What has arrived and is not served at `max_duration_s` stands behind what was, with the time it has waited by then.
    """
    clocks = clocks or Clocks()
    with collector_off(collect=max_warmup_s is not None):
        warmup = WarmUp(settle(query, clocks.wall), steady=True) if max_warmup_s is None else \
            warm_up(query, max_warmup_s, clocks.wall)
        cpu, start = clocks.cpu(), clocks.wall()
        samples = _serve(query, arrivals, start, start + round(max_duration_s * SECOND), clocks)
        elapsed, cpu = clocks.wall() - start, clocks.cpu() - cpu
    waiting = arrivals[len(samples):]
    waiting = waiting[waiting < elapsed]
    notes = [] if warmup.steady else [f"not steady after {max_warmup_s:g} s of warm-up"]
    if len(waiting):
        notes.append(f"{len(waiting)} queries had arrived and were not served within {max_duration_s:g} s")
    return Timing(np.concatenate([samples, elapsed - waiting]), elapsed, cpu, warmup.queries,
                  note="; ".join(notes) or None, served=len(samples))


def _serve(query: Callable[[], None], arrivals: Nanoseconds, start: int, latest: int, clocks: Clocks) -> Nanoseconds:
    samples = np.empty(len(arrivals), np.int64)
    for index, arrival in enumerate((arrivals + start).tolist()):
        now = clocks.wall()
        if now >= latest:
            return samples[:index].copy()
        if arrival - now > _SPIN_NS:
            clocks.sleep((arrival - now - _SPIN_NS) / SECOND)
        while clocks.wall() < arrival:
            pass
        query()
        samples[index] = clocks.wall() - arrival
    return samples
