"""top-k, nll, brier and ece against brute force, scipy and closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import log_softmax, softmax

from harness.api import (
    CellError,
    ClassificationTarget,
    InputSpec,
    KeypointsTarget,
    Metric,
    ModelCard,
    Params,
    Samples,
    Summary,
    Table,
    Target,
    TaskMismatch,
)
from harness_classification.calibration import ExpectedCalibrationError
from harness_classification.params import EceParams, TopKParams
from harness_classification.proper_scores import Brier, NegativeLogLikelihood
from harness_classification.top_k import TopK

C = 6
NAMES = [f"class {i}" for i in range(C)]


def card(**more: Any) -> ModelCard:
    return ModelCard(task="classification", input=InputSpec(size=(8, 8)), **({"labels": NAMES} | more))


def samples(logits: NDArray[Any], labels: Sequence[int], model: ModelCard | None = None) -> Samples:
    targets: list[Target] = [ClassificationTarget(label=NAMES[label]) for label in labels]
    return Samples([f"s{i}" for i in range(len(labels))], targets, Table({"logits": logits}), model or card())


def summary(metric: Metric, logits: NDArray[Any], labels: Sequence[int]) -> Summary:
    return metric.summarize(metric.measure(samples(logits, labels)))


def value(metric: Metric, logits: NDArray[Any], labels: Sequence[int], name: str = "") -> float:
    found = summary(metric, logits, labels).scalars[name].value
    assert found is not None
    return found


METRICS: list[Metric] = [TopK(TopKParams()), NegativeLogLikelihood(Params()), Brier(Params()),
                         ExpectedCalibrationError(EceParams())]
each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: type(metric).__name__)


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[np.float32], list[int]]:
    n = draw(st.integers(1, 12))
    # Few distinct values make ties, large ones make naive softmax overflow.
    values = st.sampled_from([0.0, 1.0, 2.5, -3.0, 800.0]) | st.floats(-30, 30, width=32)
    logits = draw(arrays(np.float32, (n, C), elements=values))
    return logits, draw(st.lists(st.integers(0, C - 1), min_size=n, max_size=n))


@settings(deadline=None)
@given(problems(), st.integers(1, C))
def test_top_k_is_membership_in_the_sorted_prefix(problem: tuple[NDArray[np.float32], list[int]], k: int) -> None:
    logits, labels = problem
    hits = [(-row[label], label) in sorted((-row[c], c) for c in range(C))[:k]
            for row, label in zip(logits.tolist(), labels, strict=True)]
    assert value(TopK(TopKParams(k=[k])), logits, labels, f"@{k}") == pytest.approx(sum(hits) / len(hits))


@settings(deadline=None)
@given(problems())
def test_nll_and_brier_are_scipys_softmax(problem: tuple[NDArray[np.float32], list[int]]) -> None:
    logits, labels = problem
    rows, wide = np.arange(len(labels)), logits.astype(np.float64)
    nll = -log_softmax(wide, axis=1)[rows, labels].mean()
    assert value(NegativeLogLikelihood(Params()), logits, labels) == pytest.approx(nll, rel=1e-12, abs=1e-12)
    distance = softmax(wide, axis=1) - np.eye(C)[labels]
    assert value(Brier(Params()), logits, labels) == pytest.approx((distance**2).sum(axis=1).mean(), abs=1e-12)


@settings(deadline=None)
@given(problems(), st.integers(1, 20))
def test_ece_bin_by_bin(problem: tuple[NDArray[np.float32], list[int]], bins: int) -> None:
    logits, labels = problem
    probabilities = softmax(logits.astype(np.float64), axis=1)
    confidence, correct = probabilities.max(axis=1), logits.argmax(axis=1) == labels
    expected = 0.0
    for m in range(bins):
        lower, upper = (m / bins if m else -1.0), ((m + 1) / bins if m < bins - 1 else 2.0)
        inside = (confidence > lower + 1e-12) & (confidence <= upper + 1e-12)
        if inside.any():
            expected += inside.sum() / len(labels) * abs(correct[inside].mean() - confidence[inside].mean())
    assert value(ExpectedCalibrationError(EceParams(bins=bins)), logits, labels) == pytest.approx(expected, abs=1e-9)


def logits_for(probabilities: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.array(probabilities)), np.float64)


def test_closed_forms() -> None:
    uniform, labels = np.zeros((4, C)), [0, 1, 2, 3]
    assert value(NegativeLogLikelihood(Params()), uniform, labels) == pytest.approx(log(C))
    assert value(Brier(Params()), uniform, labels) == pytest.approx(1 - 1 / C)
    assert value(TopK(TopKParams()), uniform, labels, "@1") == 0.25  # ties go to the lowest class
    assert value(ExpectedCalibrationError(EceParams()), uniform, labels) == pytest.approx(abs(0.25 - 1 / C))


def test_certain_and_wrong_is_the_worst() -> None:
    certain = np.full((1, C), -1000.0)
    certain[0, 2] = 1000.0
    assert value(Brier(Params()), certain, [1]) == 2.0
    assert value(ExpectedCalibrationError(EceParams()), certain, [1]) == 1.0
    assert value(NegativeLogLikelihood(Params()), certain, [1]) == 2000.0
    assert value(Brier(Params()), certain, [2]) == value(NegativeLogLikelihood(Params()), certain, [2]) == 0.0


def test_a_calibrated_model_has_no_calibration_error() -> None:
    """Confidence .8 and right in 8 of 10, confidence .6 and right in 3 of 5."""
    logits = logits_for([[0.8, 0.2]] * 10 + [[0.6, 0.4]] * 5)
    labels = [0] * 8 + [1] * 2 + [0] * 3 + [1] * 2
    result = summary(ExpectedCalibrationError(EceParams()), logits, labels)
    assert result.scalars[""].value == pytest.approx(0, abs=1e-12)
    curve = result.curves[".reliability"]
    assert curve.x == pytest.approx([0.6, 0.8])
    assert curve.y == pytest.approx([0.6, 0.8])


def test_ties_lie_exactly_on_the_edges_of_bins() -> None:
    """Three equal classes of three: confidence 1/3, the upper edge of the first of three bins."""
    metric = ExpectedCalibrationError(EceParams(bins=3))
    rows = metric.measure(samples(np.zeros((1, 3)), [0]))
    assert rows.dense("confidence")[0] == 1 / 3


def test_bins_are_closed_on_the_right() -> None:
    """Confidence exactly 1/2 with two bins belongs to the lower one: gaps .5 and .25, not their mixture."""
    metric = ExpectedCalibrationError(EceParams(bins=2))
    rows = Table({"confidence": np.array([0.5, 0.75]), "correct": np.array([False, True])})
    assert metric.summarize(rows).scalars[""].value == pytest.approx((0.5 + 0.25) / 2)


@each_metric
def test_rows_of_parts_are_the_rows_of_the_whole(metric: Metric) -> None:
    generator = np.random.default_rng(0)
    logits, labels = generator.normal(size=(20, C)), generator.integers(0, C, 20).tolist()
    whole = metric.measure(samples(logits, labels))
    parts = Table.concat([metric.measure(samples(logits[i : i + 7], labels[i : i + 7])) for i in range(0, 20, 7)])
    assert whole.rows == 20
    for name in whole:
        np.testing.assert_array_equal(whole.dense(name), parts.dense(name))
    twice = metric.summarize(whole.take(np.repeat(np.arange(20), 2)))
    for name, scalar in metric.summarize(whole).scalars.items():
        assert twice.scalars[name].value == pytest.approx(scalar.value)
        assert twice.scalars[name].n == 40


@each_metric
def test_no_rows_no_value(metric: Metric) -> None:
    for rows in (Table({}), metric.measure(samples(np.zeros((2, C)), [0, 1])).take(np.zeros(0, np.int64))):
        for scalar in metric.summarize(rows).scalars.values():
            assert scalar.value is None
            assert scalar.n == 0


@each_metric
def test_an_unknown_label_names_itself_and_the_key(metric: Metric) -> None:
    model = card(labels=None, classes={"class 1": 1, "klass 2": 2})
    with pytest.raises(TaskMismatch, match=r'"class 2".*did you mean "klass 2"\?.*models\.NAME\.classes'):
        metric.measure(samples(np.zeros((2, C)), [1, 2], model))


@each_metric
def test_an_index_beyond_the_logits_is_refused(metric: Metric) -> None:
    with pytest.raises(TaskMismatch, match=r'"class 1" has the class index 6.*6 classes \(0 to 5\)'):
        metric.measure(samples(np.zeros((1, C)), [1], card(classes={"class 1": 6})))


@each_metric
@pytest.mark.parametrize("bad", [nan, inf])
def test_logits_that_are_not_finite_are_an_error(metric: Metric, bad: float) -> None:
    logits = np.zeros((3, C))
    logits[1, 4] = bad
    with pytest.raises(CellError, match="logits of 1 samples are not finite, the first is s1"):
        metric.measure(samples(logits, [0, 0, 0]))


@each_metric
def test_another_task_is_a_mismatch(metric: Metric) -> None:
    points = KeypointsTarget(points=np.zeros((1, 2), np.float32), visible=np.ones(1, np.bool_))
    with pytest.raises(TaskMismatch, match="KeypointsTarget"):
        metric.measure(Samples(["a"], [points], Table({"logits": np.zeros((1, C))}), card()))
    with pytest.raises(TaskMismatch, match=r"\(1, 2, 3\)"):
        metric.measure(samples(np.zeros((1, 2, 3)), [0]))


def test_classes_come_before_labels() -> None:
    logits = np.zeros((1, C))
    logits[0, 4] = 1
    renamed = card(classes={"class 1": 4})
    metric = TopK(TopKParams(k=[1]))
    assert metric.summarize(metric.measure(samples(logits, [1], renamed))).scalars["@1"].value == 1.0


def test_more_than_all_classes_is_refused() -> None:
    with pytest.raises(TaskMismatch, match=r"k = 7 .* the model has 6"):
        TopK(TopKParams(k=[1, 7])).measure(samples(np.zeros((1, C)), [0]))
    assert value(TopK(TopKParams(k=[C])), np.zeros((1, C)), [5], f"@{C}") == 1.0


@pytest.mark.parametrize("k", [[], [0], [1, 1], [-1]])
def test_k_is_validated(k: list[int]) -> None:
    with pytest.raises(ValidationError):
        TopKParams(k=k)
