"""Paired differences over rounds: Wilcoxon's signed-rank test, and the interval that follows from it.

Where two things are equal, the difference of a round is as likely d as -d, because the order within a round is drawn;
this is all that the test assumes. The interval (Hodges & Lehmann 1963) holds those shifts that the test does not
reject. A percentile bootstrap of the median, by contrast, covers only some 90 % with 15 rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.stats import Interval

Floats = NDArray[np.float64]
FEWEST = 6
"""Fewer differences can not be significant at the 5 % level."""
_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Shift:
    """estimate: Hodges-Lehmann; interval: 95 %, None for fewer than FEWEST differences; p: two-sided."""

    estimate: float
    interval: Interval | None
    p: float


def shift(differences: Sequence[float] | Floats) -> Shift:
    """The typical difference: median of all means of two (Walsh averages). Raises ValueError without differences."""
    values = np.asarray(differences, np.float64)
    n = len(values)
    if not n:
        raise ValueError("a shift of no differences")
    rows, columns = np.triu_indices(n)
    walsh = np.sort((values[rows] + values[columns]) / 2)
    below = _cumulative(n)  # P(T <= t), T the sum of the ranks of positive differences
    positive = (walsh > 0).sum() + (walsh == 0).sum() / 2
    smaller = min(positive, len(walsh) - positive)
    p = min(1.0, 2 * float(below[int(smaller)]))
    interval = None
    if n >= FEWEST:
        outside = int(np.searchsorted(below, _LEVEL / 2, side="right")) - 1  # averages cut off at each end
        interval = float(walsh[outside]), float(walsh[len(walsh) - 1 - outside])
    return Shift(float(np.median(walsh)), interval, p)


def ratio_shift(ours: Sequence[float], theirs: Sequence[float], *, margin: float = 0.0) -> Shift:
    """As shift, of the logarithms of ours / theirs; estimate and interval are ratios again. Values are positive.

    margin: p is that of no ratio beyond 1 + margin, or below its reciprocal, on the side of the estimate; 1 within.
    """
    logs = np.log(np.asarray(ours, np.float64)) - np.log(np.asarray(theirs, np.float64))
    found = shift(logs)
    if margin:
        beyond = abs(found.estimate) - np.log1p(margin)
        p = shift(np.sign(found.estimate) * logs - np.log1p(margin)).p if beyond > 0 else 1.0
        found = Shift(found.estimate, found.interval, p)
    low_high = found.interval
    interval = None if low_high is None else (float(np.exp(low_high[0])), float(np.exp(low_high[1])))
    return Shift(float(np.exp(found.estimate)), interval, found.p)


@lru_cache(maxsize=64)
def _cumulative(n: int) -> Floats:
    """P(T <= t) for t = 0 .. n(n+1)/2 under the null: each rank is positive with probability 1/2."""
    weights = np.ones(1)
    for rank in range(1, n + 1):
        grown = np.zeros(len(weights) + rank)
        grown[: len(weights)] += weights / 2
        grown[rank:] += weights / 2
        weights = grown
    return np.cumsum(weights)
