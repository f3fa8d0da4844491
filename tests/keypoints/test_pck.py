"""PCK and peak calibration against brute force and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.api import ClassificationTarget, InputSpec, KeypointsTarget, ModelCard, Samples, Table, TaskMismatch
from harness_keypoints.calibration import PeakCalibration
from harness_keypoints.params import PckParams, PeakCalibrationParams
from harness_keypoints.pck import Pck

FRACTIONS = [0.05, 0.1, 0.15, 0.2]
CARD = ModelCard(task="keypoints", input=InputSpec(size=(8, 8)))


def samples(predicted, truth, visible=None, scores=None, labels=None):
    predicted, truth = np.asarray(predicted, np.float32), np.asarray(truth, np.float32)
    visible = np.ones(truth.shape[:2], bool) if visible is None else np.asarray(visible)
    targets = [KeypointsTarget(points=p, visible=v) for p, v in zip(truth, visible, strict=True)]
    columns = {"keypoints": predicted, **({"scores": np.asarray(scores, np.float32)} if scores is not None else {})}
    card = CARD.model_copy(update={"labels": labels})
    return Samples([f"s{i}" for i in range(len(truth))], targets, Table(columns), card)


def scalars(batch, **params):
    metric = Pck(PckParams(**params))
    return metric.summarize(metric.measure(batch)).scalars


def brute_force(predicted, truth, visible, fraction):
    """Straight from the definition: (correct, evaluable keypoints, figures that can not be evaluated)."""
    correct = n = invalid = 0
    for figure in range(len(truth)):
        seen = [k for k in range(truth.shape[1]) if visible[figure, k]]
        xs, ys = ([float(truth[figure, k, axis]) for k in seen] for axis in (0, 1))
        d = math.dist((min(xs), min(ys)), (max(xs), max(ys))) if seen else 0.0
        if d == 0:
            invalid += 1
            continue
        for k in seen:
            n += 1
            correct += math.dist(map(float, predicted[figure, k]), map(float, truth[figure, k])) <= fraction * d
    return correct, n, invalid


points = hnp.arrays(np.float32, (4, 3, 2), elements=st.floats(0, 64, width=16))


@settings(max_examples=150, deadline=None)
@given(points, points, hnp.arrays(bool, (4, 3)))
def test_against_brute_force(predicted, truth, visible):
    found = scalars(samples(predicted, truth, visible))
    for fraction in FRACTIONS:
        correct, n, invalid = brute_force(predicted, truth, visible, fraction)
        result = found[f"@{fraction:g}"]
        assert (result.n, result.n_invalid) == (n, invalid)
        assert result.value == (correct / n if n else None)
        assert result.proportion
        assert result.higher_is_better
        parts = [found[f".{k}@{fraction:g}"] for k in range(3)]
        assert sum(part.n for part in parts) == n
        assert sum(round(part.value * part.n) for part in parts if part.n) == correct


@settings(max_examples=50, deadline=None)
@given(points, points, hnp.arrays(bool, (4, 3)))
def test_area_is_the_integral_of_the_curve(predicted, truth, visible):
    found = scalars(samples(predicted, truth, visible), fractions=list(np.linspace(5e-4, 0.4995, 500)))
    if found[".auc"].value is None:
        assert found[".auc"].n == 0
        return
    heights = [found[name].value for name in found if name.startswith("@")]
    assert found[".auc"].value == pytest.approx(np.mean(heights), abs=2e-3)


@settings(max_examples=50, deadline=None)
@given(points, points, st.integers(0, 2**32 - 1))
def test_rows_in_any_order_and_in_parts_give_the_same_numbers(predicted, truth, seed):
    metric = Pck(PckParams())
    whole = metric.measure(samples(predicted, truth))
    parts = Table.concat([metric.measure(samples(predicted[i : i + 1], truth[i : i + 1])) for i in range(4)])
    shuffled = whole.take(np.random.default_rng(seed).permutation(4))
    expected = metric.summarize(whole).scalars
    for rows in (parts, shuffled):
        for name, scalar in metric.summarize(rows).scalars.items():
            assert scalar.n == expected[name].n
            assert scalar.value == pytest.approx(expected[name].value)


def test_by_hand():
    """A 30 x 40 box has d = 50: at 0.1 the tolerance is exactly 5 px, and 5 px is correct."""
    truth = [[[0, 0], [30, 40], [10, 10]]]
    found = scalars(samples([[[0, 5], [30, 45.5], [10, 10]]], truth, labels=["head", "left hand", "tail"]),
                    fractions=[0.1, 0.2])
    assert found["@0.1"].value == pytest.approx(2 / 3)
    assert found["@0.2"].value == 1
    assert found[".left-hand@0.1"].value == 0
    assert found[".mean-error"].value == pytest.approx(10.5 / 3)
    assert found[".median-error"].value == 5
    assert found[".mean-error"].unit == "px"
    assert not found[".mean-error"].higher_is_better
    assert found[".auc"].value == pytest.approx((0.8 + (1 - 5.5 / 25) + 1) / 3)


def test_invisible_keypoints_count_neither_as_truth_nor_for_the_diagonal():
    truth = [[[0, 0], [30, 40], [1000, 0]]]
    found = scalars(samples([[[0, 6], [30, 40], [0, 0]]], truth, [[True, True, False]]), fractions=[0.1])
    assert (found["@0.1"].value, found["@0.1"].n) == (0.5, 2)


def test_a_figure_of_one_point_is_counted_but_not_evaluated():
    found = scalars(samples([[[1, 1], [0, 0]], [[0, 0], [3, 4]]], [[[1, 2], [0, 0]], [[0, 0], [3, 4]]],
                            [[True, False], [True, True]]))
    assert (found["@0.05"].value, found["@0.05"].n, found["@0.05"].n_invalid) == (1, 2, 1)
    assert (found[".mean-error"].value, found[".mean-error"].n, found[".mean-error"].n_invalid) == (
        pytest.approx(1 / 3), 3, 0)


def test_nothing_visible_has_no_value():
    found = scalars(samples([[[1, 1]]], [[[1, 1]]], [[False]]))
    assert {scalar.value for scalar in found.values()} == {None}
    assert found["@0.05"].n_invalid == 1


def test_the_curve_ends_at_the_share_within_half_the_diagonal():
    metric = Pck(PckParams())
    summary = metric.summarize(metric.measure(samples([[[0, 0], [30, 70]]], [[[0, 0], [30, 40]]])))
    curve = summary.curves[""]
    assert (curve.x[0], curve.x[-1], curve.y[0], curve.y[-1]) == (0, 0.5, 0.5, 0.5)


def test_a_different_number_of_keypoints_is_a_mismatch():
    with pytest.raises(TaskMismatch, match="s0: the model predicts 2 keypoints, the truth has 1"):
        scalars(samples([[[0, 0], [1, 1]]], [[[0, 0]]]))


def test_another_task_is_a_mismatch():
    batch = samples([[[0, 0]]], [[[0, 0]]])
    other = Samples(batch.ids, [ClassificationTarget(label="cat")], batch.predictions, batch.card)
    with pytest.raises(TaskMismatch, match="ClassificationTarget"):
        Pck(PckParams()).measure(other)


def test_rows_survive_a_file(tmp_path):
    metric = Pck(PckParams())
    rows = metric.measure(samples([[[0, 0], [3, 3]]], [[[0, 0], [3, 4]]], labels=["head", "left hand"]))
    rows.save(tmp_path / "rows.npz")
    assert metric.summarize(Table.load(tmp_path / "rows.npz")) == metric.summarize(rows)


# --- peak calibration ------------------------------------------------------------------------------------------------


def calibration(predicted, truth, scores, visible=None):
    metric = PeakCalibration(PeakCalibrationParams())
    return metric.summarize(metric.measure(samples(predicted, truth, visible, scores))).scalars[""]


@settings(max_examples=50, deadline=None)
@given(points, points, hnp.arrays(np.float32, (4, 3), elements=st.floats(0, 1, width=16)))
def test_calibration_is_spearmans_coefficient(predicted, truth, scores):
    from scipy.stats import spearmanr

    result = calibration(predicted, truth, scores)
    error = np.linalg.norm(predicted.astype(np.float64) - truth, axis=-1)
    if np.ptp(scores) == 0 or np.ptp(error) == 0:
        assert result.value is None
    else:
        expected = spearmanr(scores.ravel().astype(np.float64), error.ravel()).statistic
        assert result.value == pytest.approx(expected, abs=1e-9)
    assert result.n == 12


def test_peaks_that_rank_the_errors_perfectly_give_minus_one():
    truth = np.zeros((1, 3, 2))
    predicted = [[[1, 0], [2, 0], [30, 0]]]
    result = calibration(predicted, truth, [[0.9, 0.5, 0.1]])
    assert result.value == pytest.approx(-1)
    assert not result.higher_is_better


def test_calibration_without_scores_says_what_to_do():
    with pytest.raises(TaskMismatch, match="leave the metric out"):
        PeakCalibration(PeakCalibrationParams()).measure(samples([[[0, 0]]], [[[0, 0]]]))


def test_params():
    assert PckParams().fractions == FRACTIONS
    with pytest.raises(ValueError, match="greater than 0"):
        PckParams(fractions=[0.0])
