"""Clocks, units, and the garbage collector out of the way."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Nanoseconds = NDArray[np.int64]

SECOND = 1_000_000_000
MS = 1e-6
"""Milliseconds of a nanosecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Nanoseconds of wall time and of this process's CPU time, and a pause in seconds; replaced in tests."""

    wall: Callable[[], int] = time.perf_counter_ns
    cpu: Callable[[], int] = time.process_time_ns
    sleep: Callable[[float], None] = time.sleep


@contextmanager
def collector_off(*, collect: bool = True) -> Iterator[None]:
    """Keep the garbage collector off inside, restore it as it was. collect: collect before."""
    enabled = gc.isenabled()
    if collect:
        gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
