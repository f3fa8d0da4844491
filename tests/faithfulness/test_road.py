"""ROAD: the imputation against a dense system solved row by row, the metric against loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.testing.conformance import create
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.imputation import impute

SPEC = next(spec for spec in METRICS if spec.name == "road")


def dense(planes, removed):
    """Each unknown pixel: the sum over its neighbors in the image of weight * (neighbor - pixel) is zero."""
    planes = planes.astype(np.float64)
    height, width = removed.shape
    unknown = [tuple(at) for at in np.argwhere(removed)]
    number = {at: index for index, at in enumerate(unknown)}
    matrix, right = np.zeros((len(unknown), len(unknown))), np.zeros((len(unknown), len(planes)))
    for (row, column), index in number.items():
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                at = row + down, column + across
                if (down, across) == (0, 0) or not (0 <= at[0] < height and 0 <= at[1] < width):
                    continue
                weight = 1 / 12 if down and across else 1 / 6
                matrix[index, index] += weight
                if at in number:
                    matrix[index, number[at]] -= weight
                else:
                    right[index] += weight * planes[:, at[0], at[1]]
    result = planes.copy()
    if unknown:
        result[:, removed] = np.linalg.solve(matrix, right).T
    return result


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(1, 4), st.floats(0, 1), st.integers(0, 10**6))
def test_imputation(height, width, channels, share, seed):
    rng = np.random.default_rng(seed)
    removed = rng.random((height, width)) < share
    removed[rng.integers(height), rng.integers(width)] = False
    planes = rng.normal(0, 3, (channels, height, width)).astype(np.float32)
    found = impute(planes, removed)
    np.testing.assert_allclose(found, dense(planes, removed), atol=1e-9)
    np.testing.assert_array_equal(found[:, ~removed], planes[:, ~removed])


def test_what_neighbors_agree_on_is_restored():
    """A constant everywhere; a plane away from the border, where the mean of the neighbors is the pixel itself."""
    removed = np.zeros((40, 30), np.bool_)
    removed[5:33, 4:25] = True
    y, x = np.mgrid[:40, :30]
    plane = np.stack([2 * x - 3 * y + 1.0])
    np.testing.assert_allclose(impute(plane, removed), plane, atol=1e-12)
    np.testing.assert_allclose(impute(np.full((1, 40, 30), 0.7), np.random.default_rng(0).random((40, 30)) < 0.9), 0.7)


def test_all_removed_is_refused():
    with pytest.raises(ValueError, match="nothing to impute from"):
        impute(np.zeros((3, 4, 4)), np.ones((4, 4), np.bool_))


def test_the_metric(lab):
    made = lab(4, scale=0.2)
    metric = create(SPEC, removed=[0.25, 0.5, 0.9], noise=0)
    rows = metric.measure(made.samples)
    for index, (image, saliency) in enumerate(zip(made.samples.inputs, made.samples.saliency, strict=True)):
        target, found = made.samples.classes[index], {"morf": [], "lerf": []}
        order = sorted(np.ndindex(*saliency.shape), key=lambda at: (-saliency[at], at))
        for count in (30, 60, 108):
            for side, ranked in (("morf", order), ("lerf", order[::-1])):
                removed = np.zeros(saliency.shape, np.bool_)
                removed[tuple(zip(*ranked[:count], strict=True))] = True
                found[side].append(made.model.probability(dense(image, removed), target))
        np.testing.assert_allclose(rows.dense("morf curve")[index], found["morf"], atol=2e-6)
        np.testing.assert_allclose(rows.dense("lerf curve")[index], found["lerf"], atol=2e-6)
        assert rows.dense("value")[index] == pytest.approx((np.mean(found["lerf"]) - np.mean(found["morf"])) / 2,
                                                           abs=2e-6)
    summary = metric.summarize(rows)
    assert summary.scalars[".morf"].value == pytest.approx(rows.dense("morf curve").mean())
    assert (summary.scalars[".morf"].higher_is_better, summary.scalars[".lerf"].higher_is_better) == (False, True)
    assert summary.curves[".lerf"].x == [0.25, 0.5, 0.9]
    assert sum(made.model.calls) == 4 * 2 * 3


def test_a_share_that_rounds_to_all_pixels_leaves_one(lab):
    made = lab(2, size=(4, 3))
    rows = create(SPEC, removed=[0.99], noise=0).measure(made.samples)
    for index, (image, saliency) in enumerate(zip(made.samples.inputs, made.samples.saliency, strict=True)):
        last = np.unravel_index(saliency.argmin(), saliency.shape)
        flat = np.broadcast_to(image[:, last[0], last[1]][:, None, None], image.shape)
        expected = made.model.probability(flat, made.samples.classes[index])
        assert rows.dense("morf")[index] == pytest.approx(expected, abs=2e-6)


def test_noise_is_seeded_and_has_the_given_size(lab):
    made = lab(1, size=(64, 64))
    seen = []

    def predict(inputs):
        seen.append(inputs)
        return np.zeros((len(inputs), 3), np.float32)

    object.__setattr__(made.samples, "predict", predict)
    for noise in (0.5, 0.5, 0):
        create(SPEC, removed=[0.5], noise=noise).measure(made.samples)
    noisy, again, quiet = seen[0], seen[2], seen[4]
    np.testing.assert_array_equal(noisy, again)
    difference = (noisy - quiet)[0]
    changed = difference[:, (difference != 0).any(axis=0)]
    assert changed.size == 3 * 64 * 64 // 2
    assert changed.std() == pytest.approx(0.5, rel=0.03)


def test_a_right_map_beats_its_opposite(lab):
    """The map that the weights give: removing its pixels takes the evidence away."""
    made = lab(6, scale=0.3)
    weights = made.model.weights.reshape(3, 12, 10, 3)
    evidence = np.stack([(image * (weights[..., target] - weights.mean(axis=3))).sum(axis=0)
                         for image, target in zip(made.samples.inputs, made.samples.classes, strict=True)])
    values = []
    for maps in (evidence, -evidence):
        object.__setattr__(made.samples, "saliency", maps.astype(np.float32))
        made.samples._made.clear()
        values.append(create(SPEC).measure(made.samples).dense("value").mean())
    assert values[0] > 0.1
    assert values[1] < -0.1
