"""Intervals: seeded bootstrap over samples, Wilson for proportions at the boundary, blocks for series in time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contracts import Scalar, Summary
from harness.table import Table

Interval = tuple[float, float]
Z_975 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def intervals(rows: Table, summarize: Callable[[Table], Summary], replicates: int,
              seed: int) -> dict[str, Interval | None]:
    """The 95 % interval of each scalar, by result suffix.

    Bootstrap, except for a proportion of exactly 0 or 1: there every replicate is the same and Wilson's interval over
    `n` says what the sample size allows.
    """
    point = summarize(rows).scalars if rows.rows else {}
    resampled = bootstrap(rows, summarize, replicates, seed)
    return {suffix: _at_boundary(scalar) or resampled.get(suffix) for suffix, scalar in point.items()}


def bootstrap(rows: Table, summarize: Callable[[Table], Summary], replicates: int,
              seed: int) -> dict[str, Interval | None]:
    """Percentile bootstrap (Efron & Tibshirani 1993, ch. 13): rows drawn with replacement, 2.5 and 97.5 % quantiles.

    A scalar is None without an interval: fewer than two rows, or not evaluable (None, NaN) in more than half of the
    replicates; the others are then left out. Deterministic by (rows, replicates, seed).
    """
    if rows.rows < 2 or replicates < 2:
        return dict.fromkeys(summarize(rows).scalars) if rows.rows else {}
    rng = np.random.default_rng(seed)
    drawn = [_values(summarize(rows.take(rng.integers(0, rows.rows, rows.rows))).scalars) for _ in range(replicates)]
    suffixes = dict.fromkeys(suffix for values in drawn for suffix in values)
    return {suffix: _quantiles([values.get(suffix, math.nan) for values in drawn]) for suffix in suffixes}


def wilson(successes: float, n: int) -> Interval:
    """95 % score interval of a proportion (Wilson 1927). Raises ValueError for n < 1 or successes outside 0..n."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no proportion")
    share, square = successes / n, Z_975 * Z_975 / n
    center = (share + square / 2) / (1 + square)
    half = Z_975 / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    low = 0.0 if successes == 0 else center - half
    return low, 1.0 if successes == n else center + half


def block_bootstrap_median(series: NDArray[Any], *, replicates: int = 1000, seed: int = 0) -> Interval | None:
    """95 % interval of the median of a series whose neighbors are correlated; None for fewer than two values.

    Circular block bootstrap (Politis & Romano 1992) with blocks of ceil(sqrt(n)): latencies drift with clock frequency
    and other load over many queries, so drawing them one by one would give intervals that are too narrow.
    """
    n = len(series)
    if n < 2:
        return None
    length = math.ceil(math.sqrt(n))
    blocks = math.ceil(n / length)
    rng = np.random.default_rng(seed)
    circle = np.concatenate([series, series[: length - 1]])
    windows = np.lib.stride_tricks.sliding_window_view(circle, length)
    rounds = min(replicates, max(200, 20_000_000 // n))  # bounds the work on very long series
    medians = [np.median(windows[rng.integers(0, n, blocks)].ravel()[:n]) for _ in range(rounds)]
    return central(np.array(medians))


def central(values: NDArray[np.float64]) -> Interval:
    """Between the 2.5 and the 97.5 % quantile of replicates."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def rank_correlation(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    """Spearman's, ties with their mean rank; None for fewer than two pairs, or where one side is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from the text of its parts; the same in every process and on every platform."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _at_boundary(scalar: Scalar) -> Interval | None:
    if scalar.proportion and scalar.n > 0 and scalar.value in (0.0, 1.0):
        return wilson(scalar.value * scalar.n, scalar.n)
    return None


def _values(scalars: Mapping[str, Scalar]) -> dict[str, float]:
    return {suffix: math.nan if scalar.value is None else scalar.value for suffix, scalar in scalars.items()}


def _quantiles(values: list[float]) -> Interval | None:
    finite = np.array([value for value in values if math.isfinite(value)])
    if 2 * len(finite) < len(values):
        return None
    return central(finite)


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """From 1, ties averaged; importing scipy.stats for this would cost more than a whole evaluation."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[group], np.float64)
