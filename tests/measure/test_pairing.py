"""Paired tests against closed forms, scipy and their own error rates."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.compare.pairing import benjamini_hochberg, mcnemar_p, paired, same
from harness.compare.records import ComparisonRow
from harness.compare.table import judged
from harness.contracts import Scalar, Summary
from harness.table import Ragged, Table


def mean(rows):
    values = rows.dense("x")
    return Summary({"": Scalar(value=float(values.mean()), n=len(values))})


def share(rows):
    hits = rows.dense("x")
    return Summary({"@1": Scalar(value=float((hits > 0).mean()), n=len(hits), proportion=True)})


def median_hit(rows):
    """A proportion that is no mean over samples."""
    return Summary({"": Scalar(value=float(np.median(rows.dense("x"))), n=rows.rows, proportion=True)})


def table(values):
    return Table({"x": np.asarray(values, np.float64)})


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_scipy(lost, won):
    expected = scipy.stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar_p(lost, won) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_equals_scipy(values):
    assert benjamini_hochberg(values) == pytest.approx(scipy.stats.false_discovery_control(values))
    assert benjamini_hochberg([]) == []


def test_rows_without_a_difference_do_not_hide_another():
    equal = ComparisonRow(cell="a", metric="m", a=1.0, b=1.0, change=0.0, loss=0.0, ci=(0.0, 0.0), p=1.0)
    worse = equal.model_copy(update={"b": 0.9, "change": -0.1, "loss": 0.1, "ci": (-0.2, -0.01), "p": 0.04})
    chance = equal.model_copy(update={"ci": (-0.1, 0.1)})
    assert [row.verdict for row in judged([equal] * 9 + [worse], 0.0)] == ["no difference"] * 9 + ["regression"]
    assert {row.verdict for row in judged([chance] * 9 + [worse], 0.0)} == {"no difference"}
    assert [row.p_adjusted for row in judged([equal, worse, chance], 0.0)] == pytest.approx([1.0, 0.08, 1.0])


def test_what_is_right_or_wrong_is_tested_on_discordant_pairs():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(300) < 0.9, rng.random(300) < 0.8
    (found,) = paired(share, table(ours), table(theirs), 1000, seed=0).values()
    lost, won = int((ours & ~theirs).sum()), int((~ours & theirs).sum())
    assert found.test == "McNemar"
    assert found.p == pytest.approx(scipy.stats.binomtest(lost, lost + won).pvalue)
    assert found.b.value - found.a.value == pytest.approx((won - lost) / 300)
    difference = theirs.astype(float) - ours
    half = 1.96 * difference.std() / 300**0.5
    assert found.ci == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.15 * half)
    assert found.minimum_detectable == pytest.approx(2.8016 * difference.std() / 300**0.5, rel=1e-3)


def test_means_are_tested_by_a_paired_bootstrap():
    rng = np.random.default_rng(1)
    common = rng.normal(0, 10, 400)  # differs between samples, not between runs
    ours, theirs = common + rng.normal(0, 1, 400), common + rng.normal(0.2, 1, 400)
    found = paired(mean, table(ours), table(theirs), 2000, seed=0)[""]
    difference = theirs - ours
    half = 1.96 * difference.std() / 20
    assert found.test == "paired bootstrap"
    assert found.ci == pytest.approx((difference.mean() - half, difference.mean() + half), abs=0.12 * half)
    assert found.p == pytest.approx(scipy.stats.ttest_rel(theirs, ours).pvalue, abs=0.02)
    assert found.minimum_detectable == pytest.approx(2.8016 * difference.std() / 20, rel=0.06)


@pytest.mark.parametrize("replicates", [200, 1000])
def test_how_sure_a_large_change_is_does_not_depend_on_the_number_of_replicates(replicates):
    difference = np.random.default_rng(4).normal(0.6, 1, 80)
    found = paired(mean, table(np.zeros(80)), table(difference), replicates, seed=0)[""]
    expected = scipy.stats.ttest_1samp(difference, 0).pvalue
    assert expected < 1e-4
    assert np.log10(found.p) == pytest.approx(np.log10(expected), abs=1)
    collapse = paired(mean, table(np.zeros(80)), table(difference - 9), replicates, seed=0)[""]
    assert collapse.p < 1e-12


def test_few_samples_are_never_sure():
    for n, least in ((1, 1.0), (2, 0.5), (4, 0.125), (10, 2**-9)):
        found = paired(mean, table(np.zeros(n)), table(np.full(n, 9.0)), 500, seed=0)[""]
        assert found.p == pytest.approx(least)


def test_small_p_of_equal_means_are_as_rare_as_they_say():
    rng = np.random.default_rng(5)
    found = [paired(mean, table(rng.normal(0, 1, 40)), table(rng.normal(0, 1, 40)), 80, seed=trial)[""].p
             for trial in range(600)]
    assert sum(p < 0.005 for p in found) <= 10  # 3 expected, four standard errors; 80 replicates alone give 0.025


def test_a_proportion_that_is_no_mean_over_samples_is_resampled():
    rng = np.random.default_rng(2)
    found = paired(median_hit, table(rng.random(50)), table(rng.random(50)), 200, seed=0)[""]
    assert found.test == "paired bootstrap"


def test_equal_means_alarm_in_about_5_of_100():
    rng = np.random.default_rng(3)
    alarms = 0
    for trial in range(300):
        common = rng.normal(0, 3, 60)
        pair = (table(common + rng.normal(0, 1, 60)) for _ in range(2))
        alarms += paired(mean, *pair, 300, seed=trial)[""].p < 0.05
    assert 3 <= alarms <= 30  # 15 expected, four standard errors


def test_equal_rows_are_no_difference():
    rows = table([0, 1, np.nan])
    assert paired(share, rows, table([0, 1, np.nan]), 100, seed=0)["@1"].p == 1.0
    assert same(rows, table([0, 1, np.nan]))
    assert not same(rows, table([0, 1, 2]))
    assert not same(rows, Table({"y": np.zeros(3)}))
    ragged = Table({"x": Ragged.of([np.zeros(2), np.ones(1)])})
    assert same(ragged, Table({"x": Ragged.of([np.zeros(2), np.ones(1)])}))
    assert not same(ragged, Table({"x": Ragged.of([np.zeros(1), np.ones(2)])}))
    assert same(Table({"x": np.array(["a"])}), Table({"x": np.array(["a"])}))


def test_what_can_not_be_evaluated_has_no_p():
    def nothing(rows):
        return Summary({"": Scalar(value=None, n=0)})

    found = paired(nothing, table([0, 1]), table([1, 2]), 50, seed=0)[""]
    assert (found.p, found.ci, found.test) == (None, None, "none")
