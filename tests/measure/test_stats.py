"""Intervals against closed forms, scipy and their own coverage."""

import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import Scalar, Summary
from harness.stats import block_bootstrap_median, bootstrap, intervals, stable_seed, wilson
from harness.table import Ragged, Table


def mean(rows):
    values = rows.dense("x")
    return Summary({"": Scalar(value=float(values.mean()), n=len(values)),
                    "@max": Scalar(value=float(values.max()), n=len(values))})


def share(rows):
    hits = rows.dense("x")
    return Summary({"": Scalar(value=float(hits.mean()), n=len(hits), proportion=True)})


def table(values):
    return Table({"x": np.asarray(values, np.float64)})


def test_bootstrap_of_a_mean_equals_scipy_and_the_closed_form():
    values = np.random.default_rng(3).gamma(2.0, size=400)
    low, high = bootstrap(table(values), mean, 4000, seed=1)[""]
    peer = scipy.stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile",
                                 rng=np.random.default_rng(2)).confidence_interval
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=0.08 * half)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_bootstrap_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = bootstrap(table(rng.normal(5, 2, size=60)), mean, 200, seed=trial)[""]
        covered += low <= 5 <= high
    assert 178 <= covered <= 198  # 0.89 to 0.99: four standard errors and the percentile method's small-sample bias


def test_same_seed_same_interval():
    rows = table(np.arange(50))
    assert bootstrap(rows, mean, 100, seed=4) == bootstrap(rows, mean, 100, seed=4)
    assert bootstrap(rows, mean, 100, seed=4) != bootstrap(rows, mean, 100, seed=5)


def test_ragged_rows_are_drawn_whole():
    samples = [np.arange(i + 1, dtype=np.float64) for i in range(20)]
    rows = Table({"x": Ragged.of(samples)})

    def lengths(drawn):
        return Summary({"": Scalar(value=float(np.diff(drawn.ragged("x").offsets).mean()), n=drawn.rows)})

    low, high = bootstrap(rows, lengths, 500, seed=0)[""]
    assert low < 10.5 < high


def test_one_row_or_none_has_no_interval():
    assert bootstrap(table([1.0]), mean, 100, seed=0) == {"": None, "@max": None}
    assert bootstrap(table([]), mean, 100, seed=0) == {}
    assert intervals(table([]), mean, 100, seed=0) == {}


@pytest.mark.parametrize(("evaluable", "has_interval"), [(5, False), (45, True)])
def test_replicates_that_can_not_be_evaluated_are_left_out(evaluable, has_interval):
    values = np.full(50, np.nan)
    values[:evaluable] = 1.0

    def first(rows):
        value = rows.dense("x")[0]
        return Summary({"": Scalar(value=float(value), n=1), "@none": Scalar(value=None, n=0)})

    result = bootstrap(table(values), first, 400, seed=0)
    assert result["@none"] is None
    assert result[""] == ((1.0, 1.0) if has_interval else None)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilson_equals_scipy(n, fraction):
    successes = round(n * fraction)
    peer = scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((peer.low, peer.high), abs=1e-12)


def test_wilson_at_the_boundary_is_exact():
    square = scipy.stats.norm.ppf(0.975) ** 2
    assert wilson(0, 50) == pytest.approx((0.0, square / (50 + square)))
    assert wilson(50, 50) == pytest.approx((50 / (50 + square), 1.0))
    assert wilson(0, 50)[0] == 0.0
    assert wilson(50, 50)[1] == 1.0
    for successes, n in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="is no proportion"):
            wilson(successes, n)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_proportion_at_the_boundary_gets_wilson(value):
    rows = table(np.full(80, value))
    assert intervals(rows, share, 50, seed=0)[""] == pytest.approx(wilson(80 * value, 80))
    assert intervals(rows, mean, 50, seed=0)[""] == (value, value)


def test_inner_proportion_gets_the_bootstrap():
    rows = table([0.0] * 30 + [1.0] * 50)
    assert intervals(rows, share, 200, seed=9) == bootstrap(rows, share, 200, seed=9)


def test_thousand_replicates_are_cheap():
    rows = Table({"x": np.random.default_rng(0).random(500), "y": np.random.default_rng(1).random((500, 5))})
    constant = Summary({"": Scalar(value=0.5, n=500)})
    start = time.process_time()
    bootstrap(rows, lambda drawn: constant, 1000, seed=0)
    assert time.process_time() - start < 0.5


def test_block_bootstrap_of_independent_values_has_the_known_width():
    values = np.random.default_rng(5).normal(size=2000)
    low, high = block_bootstrap_median(values, seed=1)
    half = 1.96 * np.sqrt(np.pi / 2 / 2000)  # standard error of a normal median
    assert high - low == pytest.approx(2 * half, rel=0.35)
    assert low < np.median(values) < high


def autocorrelated(rng, n, rho=0.9):
    noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
    values = np.empty(n)
    values[0] = rng.normal()
    for index in range(1, n):
        values[index] = rho * values[index - 1] + noise[index]
    return values


def test_blocks_cover_a_correlated_series_where_single_draws_do_not():
    rng = np.random.default_rng(11)
    blocks = single = 0
    for trial in range(60):
        values = autocorrelated(rng, 600)
        low, high = block_bootstrap_median(values, replicates=200, seed=trial)
        blocks += low <= 0 <= high
        medians = np.median(rng.choice(values, (200, 600)), axis=1)
        single += np.quantile(medians, 0.025) <= 0 <= np.quantile(medians, 0.975)
    assert blocks >= 45
    assert single <= 35


def test_block_bootstrap_edges():
    assert block_bootstrap_median(np.array([1])) is None
    assert block_bootstrap_median(np.array([7, 7, 7])) == (7.0, 7.0)
    assert block_bootstrap_median(np.arange(100), seed=2) == block_bootstrap_median(np.arange(100), seed=2)


def test_stable_seed():
    assert stable_seed("a", 1) != stable_seed("a1") != stable_seed("a", "2")
    assert 0 <= stable_seed() < 2**63
    code = "from harness.stats import stable_seed; print(stable_seed('figures', 7, ('x', 1.5)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(told) == stable_seed("figures", 7, ("x", 1.5))
