"""Bootstrap with the round as its unit: queries within a round are correlated, rounds that take turns much less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.stats import Interval, central

FEWEST_ROUNDS = 5
"""Fewer rounds have no interval: their bootstrap would be too narrow to be honest."""
REPLICATES = 1000
_WORK = 50_000_000
"""Most values that one interval looks at: very long series get fewer replicates, at least 200."""

Floats = NDArray[np.float64]


def median_over_rounds(rounds: Sequence[NDArray[Any]], *, seed: int = 0) -> Interval:
    """95 % interval of the median of all values, whole rounds drawn with replacement. Raises ValueError if empty."""
    values = np.concatenate(rounds)
    if not len(values):
        raise ValueError("a median of nothing")
    owners = np.repeat(np.arange(len(rounds)), [len(each) for each in rounds])
    order = np.argsort(values, kind="stable")
    values, owners = values[order], owners[order]
    rng = np.random.default_rng(seed)
    medians = []
    for _ in range(min(REPLICATES, max(200, _WORK // len(values)))):
        drawn = np.bincount(rng.integers(0, len(rounds), len(rounds)), minlength=len(rounds))
        reached = np.cumsum(drawn[owners])  # a round drawn twice has each of its values twice
        if reached[-1]:
            medians.append(values[np.searchsorted(reached, reached[-1] // 2, side="right")])
    return central(np.array(medians, np.float64))


def ratio_of_sums(above: Floats, below: Floats, *, seed: int = 0) -> Interval:
    """95 % interval of sum(above) / sum(below), pairs drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(0, len(above), (REPLICATES, len(above)))
    return central(above[drawn].sum(axis=1) / below[drawn].sum(axis=1))
