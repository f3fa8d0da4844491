"""The signed-rank test and its interval against scipy and their own coverage; ratios of latencies."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.ratios import paired, with_ratio
from harness.results import LatencyResult
from harness.signedrank import FEWEST, ratio_shift, shift


@given(st.integers(1, 40), st.integers(0, 999), st.floats(-1, 1))
@settings(deadline=None)
def test_p_equals_scipy(n, seed, offset):
    values = np.random.default_rng(seed).normal(offset, 1, n)
    assert shift(values).p == pytest.approx(scipy.stats.wilcoxon(values, method="exact").pvalue)


@given(st.integers(FEWEST, 30), st.integers(0, 999), st.floats(-1, 1))
@settings(deadline=None)
def test_the_interval_holds_what_the_test_does_not_reject(n, seed, offset):
    values = np.random.default_rng(seed).normal(offset, 1, n)
    low, high = shift(values).interval
    width = high - low
    for inside in (low + 1e-9 * width, (low + high) / 2, high - 1e-9 * width):
        assert shift(values - inside).p > 0.05
    for outside in (low - 1e-9 * width, high + 1e-9 * width, low - width):
        assert shift(values - outside).p <= 0.05


@pytest.mark.parametrize("rounds", [8, 10, 15, 20])
def test_equal_things_alarm_in_at_most_5_of_100(rounds):
    rng = np.random.default_rng(rounds)
    alarms = sum(shift(rng.standard_t(2, rounds)).p < 0.05 for _ in range(2000))
    assert alarms / 2000 <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_the_ratio_is_covered_about_95_times_in_100():
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(1000):
        low, high = ratio_shift(1.3 * np.exp(rng.normal(0, 0.02, 15)), np.ones(15)).interval
        covered += low <= 1.3 <= high
    assert 0.93 <= covered / 1000 <= 0.98


def test_a_drift_of_the_machine_cancels_in_the_ratio():
    drift = np.linspace(1, 3, 12)
    found = ratio_shift(2.0 * drift, 1.6 * drift)
    assert (found.estimate, *found.interval) == pytest.approx((1.25, 1.25, 1.25))
    assert found.p == pytest.approx(2 / 2**12)


def test_few_differences_have_no_interval():
    assert shift([1.0] * (FEWEST - 1)).interval is None
    assert shift([1.0] * FEWEST).interval == (1.0, 1.0)
    assert (shift([3.0]).estimate, shift([3.0]).p) == (3.0, 1.0)
    assert shift([0.0] * 9).p == 1.0
    with pytest.raises(ValueError, match="no differences"):
        shift([])


def latency(rounds, session="s", **fields):
    return LatencyResult(scenario="single-stream", batch=1, threads=1, n=9, rounds=rounds, session=session,
                         **{"p50_ms": float(np.median(rounds or [1.0])), **fields})


def test_ratios_of_latencies():
    ours, theirs = latency([2, 4, 6, 4, 2, 2]), latency([1, 2, 3, 2, 1, 1])
    found = with_ratio(ours, theirs)
    assert found.ratio == pytest.approx(2.0)  # of the rounds; the ratio of the medians is 2
    assert found.ratio_ci[0] <= 2.0 <= found.ratio_ci[1]
    assert with_ratio(theirs, theirs).ratio == 1.0
    for other in (latency([1, 2, 3, 2, 1, 1], session="t"), latency([1, 2, 3]), latency([], p50_ms=1.5)):
        assert not paired(ours, other)
        assert with_ratio(ours, other).ratio == ours.p50_ms / other.p50_ms
        assert with_ratio(ours, other).ratio_ci is None
    assert with_ratio(ours, latency([], p50_ms=None)).ratio is None


def test_a_margin_is_no_difference():
    rng = np.random.default_rng(6)
    base = np.ones(60)
    for ratio, margin, differs in ((1.005, 0.01, False), (1.05, 0.01, True), (0.95, 0.01, True), (1.05, 0.06, False)):
        noisy = ratio * np.exp(rng.normal(0, 0.004, 60))
        assert (ratio_shift(noisy, base, margin=margin).p < 0.05) is differs
        assert ratio_shift(noisy, base).p < 0.05
    alarms = sum(ratio_shift(1.01 * np.exp(rng.normal(0, 0.02, 20)), np.ones(20), margin=0.01).p < 0.05
                 for _ in range(1000))
    assert alarms <= 50  # at the edge of the margin one side of the test remains
