"""Gates: which values pass, which fail, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gates import evaluate, expression
from harness.results import CellResult, LatencyResult, MetricResult
from harness.signedrank import Shift
from harness.suite import GateTable

KEY = "accuracy/figures/m/fp32/cpu"


def cell(key=KEY, status="ok", convention="", higher=True, latency=None, **values):
    metrics = {name.replace("_at_", "@"): MetricResult(value=value, n=9, higher_is_better=higher, convention=convention)
               for name, value in values.items()}
    return CellResult(key=key, id="0", kind="latency" if latency else "accuracy", status=status, model="m",
                      precision="fp32", backend="cpu", metrics=metrics, latency=latency)


def timing(p50, **more):
    return LatencyResult(scenario="single-stream", batch=1, threads=1, n=99, p50_ms=p50, **more)


def gate(metric="pck", glob="*", **condition):
    return GateTable(cell=glob, metric=metric, **condition)


@pytest.mark.parametrize(("condition", "value", "passed"), [
    ({"min": 0.9}, 0.9, True), ({"min": 0.9}, 0.8999999, False), ({"min": 0}, 0, True), ({"min": 0}, -1e-9, False),
    ({"max": 0.9}, 0.9, True), ({"max": 0.9}, 0.9000001, False), ({"max": 0}, 0, True), ({"max": 0}, 1e-9, False),
])
def test_bounds_are_inclusive(condition, value, passed):
    result = evaluate(gate(**condition), [cell(pck=value)], None)
    assert (result.passed, result.value, result.cells, result.reason) == (passed, value, [KEY], None)


@given(st.lists(st.floats(-1, 1), min_size=1), st.floats(-1, 1))
def test_the_worst_of_all_matching_cells_decides(values, bound):
    cells = [cell(f"accuracy/{i}", pck=value) for i, value in enumerate(values)]
    low, high = evaluate(gate(min=bound), cells, None), evaluate(gate(max=bound), cells, None)
    assert (low.passed, low.value) == (all(value >= bound for value in values), min(values))
    assert (high.passed, high.value) == (all(value <= bound for value in values), max(values))


def test_only_matching_cells_count():
    cells = [cell("accuracy/a/m", pck=0.9), cell("accuracy/b/m", pck=0.1), cell("latency/m", latency=timing(3))]
    assert evaluate(gate(glob="accuracy/a/*", min=0.5), cells, None).passed
    assert not evaluate(gate(glob="accuracy/*", min=0.5), cells, None).passed
    assert evaluate(gate("p50_ms", "latency/*", max=3), cells, None).passed


@pytest.mark.parametrize(("cells", "reason"), [
    ([], "no cell matches"),
    ([cell("other", pck=1)], "no cell matches"),
    ([cell(status="failed")], "only failed cells match"),
    ([cell(status="skipped"), cell(KEY + "2", status="failed")], "only failed and skipped cells match"),
])
def test_a_gate_that_matches_no_ok_cell_fails(cells, reason):
    result = evaluate(gate(glob="accuracy/*", min=0), cells, None)
    assert (result.passed, result.value, result.cells, result.reason) == (False, None, [], reason)


def test_a_cell_that_failed_is_not_left_out():
    cells = [cell("accuracy/a", pck=1.0), cell("accuracy/b", status="failed"), cell("accuracy/c", status="failed"),
             cell("accuracy/d", status="skipped")]
    result = evaluate(gate(min=0), cells, None)
    assert (result.passed, result.cells) == (False, ["accuracy/a"])
    assert result.reason == "2 of 4 cells that match failed: accuracy/b, accuracy/c"
    assert evaluate(gate(glob="*/[ad]", min=0), cells, None).passed


@pytest.mark.parametrize("condition", [{"max": 9}, {"min": 0}, {"max_regression": "5%"}])
def test_a_latency_that_is_not_valid_fails(condition):
    timed = cell("a", latency=timing(1.0, valid=False, why="p90 is 12 ms, above 10 ms"), extra=1.0)
    result = evaluate(gate("p50_ms", **condition), [timed], {}, Again(a=(1.0, 1.0)))
    assert (result.passed, result.reason) == (False, "a is not valid: p90 is 12 ms, above 10 ms")
    assert evaluate(gate("extra", min=0), [timed], None).passed


def test_a_metric_that_is_missing_fails_with_a_suggestion():
    result = evaluate(gate("pck@0.5", min=0), [cell("accuracy/a", **{"pck@0.05": 1.0})], None)
    assert not result.passed
    assert result.reason == 'accuracy/a has no value "pck@0.5"; did you mean "pck@0.05"?'


def test_one_cell_without_the_metric_fails_the_gate():
    result = evaluate(gate(min=0), [cell("a", pck=1.0), cell("b", iou=1.0)], None)
    assert (result.passed, result.reason) == (False, 'b has no value "pck"')


@pytest.mark.parametrize("value", [None, math.nan])
@pytest.mark.parametrize("condition", [{"min": -9}, {"max": 9}])
def test_what_is_no_number_fails(value, condition):
    result = evaluate(gate(**condition), [cell("a", pck=0.5), cell("b", pck=value)], None)
    assert not result.passed
    assert result.reason.startswith('b has no value "pck"')


@pytest.mark.parametrize("name", ["valid", "scenario", "ci", "model_fields", "copy", "p90_ms"])
def test_only_numbers_of_a_latency_can_be_gated(name):
    assert not evaluate(gate(name, min=-9), [cell(latency=timing(1.0))], None).passed


def test_latency_fields_are_suggested():
    result = evaluate(gate("p50", max=9), [cell(latency=timing(1.0))], None)
    assert result.reason.endswith('did you mean "p50_ms"?')


# --- regressions ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("higher", "before", "now", "loss"), [
    (True, 0.8, 0.76, 0.05), (True, 0.8, 0.72, 0.1), (True, 0.8, 0.9, -0.125),
    (False, 0.8, 0.84, 0.05), (False, 0.8, 0.88, 0.1), (False, 0.8, 0.7, -0.125),
    (False, -0.8, -0.72, 0.1), (True, -0.8, -0.72, -0.1),
])
def test_the_relative_loss_in_the_direction_that_is_worse(higher, before, now, loss):
    baseline = {KEY: cell(pck=before, higher=higher)}
    for percent in (4, 6, 9, 11):
        result = evaluate(gate(max_regression=f"{percent}%"), [cell(pck=now, higher=higher)], baseline)
        assert result.value == pytest.approx(loss)
        assert result.passed == (loss <= percent / 100)


def test_no_regression_is_allowed_at_all():
    same = evaluate(gate(max_regression="0%"), [cell(pck=0.5)], {KEY: cell(pck=0.5)})
    worse = evaluate(gate(max_regression="0%"), [cell(pck=0.5)], {KEY: cell(pck=0.5000001)})
    assert (same.passed, worse.passed) == (True, False)


@pytest.mark.parametrize(("now", "passed"), [(0.0, True), (0.1, False), (-0.1, True)])
def test_a_baseline_of_zero(now, passed):
    result = evaluate(gate(max_regression="50%"), [cell(pck=now, higher=False)], {KEY: cell(pck=0.0)})
    assert result.passed is passed


def test_the_largest_loss_decides():
    baseline = {"a": cell("a", pck=1.0), "b": cell("b", pck=0.5)}
    result = evaluate(gate(max_regression="15%"), [cell("a", pck=0.9), cell("b", pck=0.4)], baseline)
    assert (result.passed, result.value) == (False, pytest.approx(0.2))


@pytest.mark.parametrize("baseline", [
    None, {}, {"other": cell("other", pck=1.0)}, {KEY: cell(status="failed", pck=1.0)}, {KEY: cell(iou=1.0)},
    {KEY: cell(pck=None)}, {KEY: cell(pck=math.nan)},
])
def test_a_baseline_without_the_value_fails(baseline):
    result = evaluate(gate(max_regression="50%"), [cell(pck=1.0)], baseline)
    assert (result.passed, result.reason) == (False, f'the baseline has no ok cell "{KEY}" with "pck"')


def test_different_conventions_are_not_compared():
    baseline = {KEY: cell(pck=1.0, convention="abs")}
    result = evaluate(gate(max_regression="50%"), [cell(pck=1.0, convention="top50")], baseline)
    assert (result.passed, result.reason) == (False, f'{KEY}: convention "top50" can not be compared with "abs"')


class Again:
    def __init__(self, problem=None, **ratios):
        self.problem, self.ratios = problem, ratios

    def shift(self, key, name):
        return shift_of(*self.ratios[key]) if isinstance(self.ratios[key], tuple) else self.ratios[key]


def shift_of(ratio, p):
    return Shift(ratio, (ratio - 0.01, ratio + 0.01), p)


@pytest.mark.parametrize(("metric", "ratio", "p", "value", "passed"), [
    ("p50_ms", 1.04, 0.001, 0.04, True), ("p50_ms", 1.06, 0.001, 0.06, False), ("p50_ms", 1.06, 0.2, 0.06, True),
    ("p50_ms", 0.5, 0.001, -0.5, True), ("throughput", 0.94, 0.001, 0.06, False),
    ("throughput", 1.5, 0.001, -0.5, True),
])
def test_a_latency_is_judged_by_what_was_measured_beside_the_baseline(metric, ratio, p, value, passed):
    cells = [cell("a", latency=timing(1.0, throughput=1.0)), cell("b", latency=timing(1.0, throughput=1.0))]
    again = Again(a=(1.0, 1.0), b=(ratio, p))
    result = evaluate(gate(metric, max_regression="5%"), cells, {}, again)
    worst = max(0, value)
    assert (result.passed, result.value) == (passed, pytest.approx(worst))
    assert (result.reason is None) == passed
    if not passed:
        assert result.reason.startswith(f"b: {ratio:g} times the baseline measured beside it, 95 % interval")


@pytest.mark.parametrize(("again", "reason"), [
    (None, "not measured beside the baseline's"), (Again("the export is gone"), "the export is gone"),
    (Again(a="no rounds"), "a: no rounds")])
def test_a_latency_without_its_counterpart_fails(again, reason):
    result = evaluate(gate("p50_ms", max_regression="50%"), [cell("a", latency=timing(1.0))], {}, again)
    assert not result.passed
    assert reason in result.reason


def test_what_can_not_be_compared_with_the_baseline_fails():
    asked = []

    def check(key, metric):
        asked.append((key, metric))
        return "other samples"

    result = evaluate(gate(max_regression="50%"), [cell(pck=1.0)], {KEY: cell(pck=1.0)}, check=check)
    assert (result.passed, result.reason) == (False, "other samples")
    assert asked == [(KEY, "pck")]
    assert evaluate(gate(min=0), [cell(pck=1.0)], {KEY: cell(pck=1.0)}, check=check).passed


def test_expressions():
    assert expression(gate(min=0.98)) == "* pck >= 0.98"
    assert expression(gate("p90_ms", "latency/*", max=5)) == "latency/* p90_ms <= 5"
    assert expression(gate(max_regression="5%")) == "* pck at most 5% worse than the baseline"
