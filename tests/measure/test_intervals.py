"""Intervals over rounds against the same bootstrap written plainly, and their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import intervals
from harness.intervals import median_over_rounds, ratio_of_sums


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), min_size=2, max_size=5), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_median_over_rounds_equals_the_plain_bootstrap(rounds, seed):
    rng = np.random.default_rng(seed)
    medians = []
    for _ in range(intervals.REPLICATES):
        drawn = np.concatenate([rounds[index] for index in rng.integers(0, len(rounds), len(rounds))])
        medians.append(np.sort(drawn)[len(drawn) // 2])
    expected = np.quantile(medians, (0.025, 0.975))
    assert median_over_rounds([np.array(each) for each in rounds], seed=seed) == pytest.approx(tuple(expected))


def test_rounds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    same = [rng.normal(100, 1, 50) for _ in range(10)]
    drifting = [each + 10 * index for index, each in enumerate(same)]
    narrow, wide = median_over_rounds(same), median_over_rounds(drifting)
    assert np.diff(narrow) < 1
    assert np.diff(wide) > 30


def test_a_median_of_nothing():
    with pytest.raises(ValueError, match="median of nothing"):
        median_over_rounds([np.array([]), np.array([])])


def test_ratio_of_sums():
    above, below = np.array([10.0, 20, 30, 40, 50]), np.array([1.0, 2, 3, 4, 5])
    assert ratio_of_sums(above, below) == pytest.approx((10, 10))
    low, high = ratio_of_sums(np.array([10.0, 30, 30, 40, 50]), below)
    assert low < 160 / 15 < high
