"""Percentiles and early stopping by the rules of MLPerf's LoadGen (loadgen/results.cc, loadgen/early_stopping.cc).

A percentile is sorted[int(n * p)]: a measured value. Its early-stopping estimate is an upper bound: the smallest
measured value that the true percentile stays below with 99 % confidence, were the queries independent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from harness.measure.clocks import Nanoseconds

MIN_QUERIES = {"p50": 11, "p90": 64, "p95": 130, "p99": 662}
"""Queries that LoadGen wants behind each percentile: early_stopping_queries(p, 1)."""
FRACTIONS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
CONFIDENCE = 0.99


def percentile(samples: Nanoseconds, fraction: float) -> int:
    """sorted[int(n * fraction)]: a measured value, never an interpolated one. Raises ValueError without samples."""
    if not len(samples):
        raise ValueError("a percentile of no samples")
    rank = min(int(len(samples) * fraction), len(samples) - 1)
    return int(np.partition(samples, rank)[rank])


@lru_cache(maxsize=1 << 16)
def early_stopping_queries(fraction: float, over: int) -> int:
    """The least number of queries, `over` of them above a bound, that show the percentile to lie within the bound.

    The smallest n with P(at most `over` of n are above) < 1 - CONFIDENCE, were exactly `fraction` of all below it.
    """
    low, high = over, max(16, 2 * over)
    while not _shown(high, over, fraction):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shown(middle, over, fraction) else (middle, high)
    return high


def early_stopping_estimate(samples: Nanoseconds, fraction: float) -> int | None:
    """sorted[n - t] with the largest t, counted from 1, that n queries allow; None when they allow none."""
    n = len(samples)
    if n < early_stopping_queries(fraction, 1):
        return None
    low, high = 1, n  # t = low is allowed, t = high is not: all n queries can not be above
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _shown(n, middle, fraction) else (low, middle)
    return int(np.partition(samples, n - low)[n - low])


def _shown(n: int, over: int, fraction: float) -> bool:
    from scipy.special import bdtr

    return n > over and bool(bdtr(over, n, 1 - fraction) < 1 - CONFIDENCE)
