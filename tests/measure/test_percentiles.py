"""Percentiles and early stopping against brute force; the numbers of a latency cell."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Timing
from harness.measure import early_stopping_estimate, early_stopping_queries, invalidity, latency_result, percentile

MS = 1_000_000


def at_most(over, n, fraction):
    """P(Binomial(n, 1 - fraction) <= over), term by term."""
    return sum(math.comb(n, k) * (1 - fraction) ** k * fraction ** (n - k) for k in range(over + 1))


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_percentile_equals_brute_force(values, fraction):
    assert percentile(np.array(values), fraction) == sorted(values)[min(int(len(values) * fraction), len(values) - 1)]


def test_percentile_of_nothing():
    with pytest.raises(ValueError, match="no samples"):
        percentile(np.array([], np.int64), 0.5)


@pytest.mark.parametrize(("fraction", "over", "needed"), [
    (0.5, 1, 11), (0.9, 1, 64), (0.95, 1, 130), (0.99, 1, 662), (0.99, 0, 459)])
def test_numbers_that_loadgen_documents(fraction, over, needed):
    assert early_stopping_queries(fraction, over) == needed


@given(st.sampled_from([0.5, 0.9, 0.97]), st.integers(0, 25))
@settings(deadline=None)
def test_queries_needed_equal_brute_force(fraction, over):
    n = over + 1
    while at_most(over, n, fraction) >= 0.01:
        n += 1
    assert early_stopping_queries(fraction, over) == n


@given(st.integers(1, 250), st.sampled_from([0.5, 0.9, 0.95]), st.randoms())
@settings(deadline=None, max_examples=30)
def test_estimate_equals_brute_force(n, fraction, random):
    samples = list(range(n))
    random.shuffle(samples)
    allowed = [t for t in range(1, n) if at_most(t, n, fraction) < 0.01]
    expected = sorted(samples)[n - max(allowed)] if allowed else None
    assert early_stopping_estimate(np.array(samples), fraction) == expected


def test_the_estimate_bounds_the_true_percentile_99_times_in_100():
    rng = np.random.default_rng(0)
    truth = -np.log(0.1)  # of an exponential distribution
    bounded = sum(early_stopping_estimate((rng.exponential(size=300) * 1e9).astype(np.int64), 0.9) >= truth * 1e9
                  for _ in range(2000))
    assert bounded >= 0.983 * 2000  # three standard errors below 99 %


def turn(samples, elapsed=None, **fields):
    samples = np.asarray(samples, np.int64)
    return Timing(samples, int(samples.sum()) if elapsed is None else elapsed, 0, 0, **fields)


@pytest.mark.parametrize(("n", "given_"), [(10, ""), (11, "50"), (63, "50"), (64, "50 90"), (129, "50 90"),
                                           (130, "50 90 95"), (661, "50 90 95"), (662, "50 90 95 99")])
def test_a_percentile_needs_its_queries(n, given_):
    samples = np.arange(1, n + 1) * MS
    result = latency_result([turn(samples)], "single-stream", 4, 2)
    for name in ("50", "90", "95", "99"):
        value, bound = getattr(result, f"p{name}_ms"), getattr(result, f"p{name}_early_stopping_ms")
        if name in given_.split():
            assert value == pytest.approx(sorted(samples)[int(n * int(name) / 100)] / MS)
            assert bound >= value
        else:
            assert (value, bound) == (None, None)
            assert f"p{name} needs" in result.why
    assert (result.why is None) == (n >= 662)
    assert (result.ci is None) == (n < 11)


def test_units():
    timing = Timing(np.full(700, 2 * MS), 1_400 * MS, 700 * MS, 5, note="noted")
    result = latency_result([timing], "single-stream", 8, 2)
    assert (result.p50_ms, result.mean_ms, result.cpu_ms, *result.ci) == pytest.approx((2.0, 2.0, 1.0, 2.0, 2.0))
    assert result.throughput == pytest.approx(8 * 700 / 1.4)
    assert (result.n, result.batch, result.threads, result.valid, result.why) == (700, 8, 2, True, "noted")


def test_turns_are_joined():
    turns = [turn([MS * index] * 100, parts={"open": np.array([index])}, note="once") for index in range(1, 8)]
    result = latency_result(turns, "cold-start", 1, 1, invalid="broken")
    assert result.rounds == [1, 2, 3, 4, 5, 6, 7]
    assert (result.n, result.p50_ms, result.parts) == (700, 4.0, {"open": 4e-6})
    assert (result.valid, result.why) == (False, "broken; once")
    assert result.ci[0] < 4 < result.ci[1]
    assert result.throughput == pytest.approx(700 / 2.8)
    assert result.throughput_ci[0] < result.throughput < result.throughput_ci[1]


def test_no_query_at_all():
    for turns in ([], [turn([])]):
        result = latency_result(turns, "single-stream", 1, 1, invalid="stopped")
        assert (result.n, result.mean_ms, result.throughput, result.p50_ms) == (0, None, None, None)
        assert result.why.startswith("stopped; 0 queries: p50 needs 11")


@pytest.mark.parametrize(("samples", "options", "reason"), [
    ([MS] * 64, {}, None),
    ([MS] * 63, {}, "p90 needs 64 queries by early stopping, there are 63"),
    ([MS] * 64, {"min_queries": 65}, "64 of at least 65 queries"),
    ([MS] * 64, {"min_duration_s": 0.1}, "0.064 of at least 0.1 s"),
    ([MS] * 459, {"target": 0.99, "bound_ms": 1.0}, None),
    ([MS] * 458, {"target": 0.99, "bound_ms": 1.0}, "p99 needs 459 queries with 0 above 1 ms"),
    ([MS] * 661 + [9 * MS], {"target": 0.99, "bound_ms": 1.0}, None),
    ([MS] * 660 + [9 * MS], {"target": 0.99, "bound_ms": 1.0}, "p99 needs 662 queries with 1 above"),
    ([MS] * 900 + [9 * MS] * 100, {"target": 0.99, "bound_ms": 1.0}, "p99 is 9 ms, the bound is 1 ms"),
    ([], {"min_queries": 1, "bound_ms": 1.0}, "0 of at least 1 queries"),
])
def test_validity(samples, options, reason):
    conditions = {"min_queries": 1, "min_duration_s": 0, "target": 0.9, **options}
    half = len(samples) // 2
    found = invalidity([turn(samples[:half]), turn(samples[half:])], **conditions)
    assert (found is None) if reason is None else (reason in found)
