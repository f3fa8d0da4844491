"""The metric warping-error: regions, thresholds, both directions, ignored pixels."""

from dataclasses import replace

import numpy as np
import pytest

from harness.api import (
    ClassificationTarget,
    Fit,
    InputSpec,
    ModelCard,
    Samples,
    SegmentationTarget,
    Table,
    TaskMismatch,
)
from harness.geometry import Size
from harness.masks import pack_masks
from harness.testing.conformance import create
from harness_saliency_metrics.localization import METRICS, SEGMENTATION
from harness_saliency_metrics.mismatches import classify
from harness_saliency_metrics.warping import warp
from harness_saliency_metrics.warping_error import largest_component

SPEC = next(spec for spec in METRICS if spec.name == "warping-error")
SIZE = Size(24, 32)


@pytest.fixture
def measured(lab):
    """measured(maps, targets): rows and scalars."""
    def measure(maps, targets, **params):
        made = lab(len(maps), np.array(maps), size=SIZE).samples
        fit = Fit(SIZE, SIZE, 1, 1, 0, 0)
        metric = create(SPEC, **params)
        rows = metric.measure(replace(made, targets=targets, fits=[fit] * len(maps)))
        return rows, metric.summarize(rows).scalars

    return measure


def rectangle(y0, y1, x0, x1):
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def target(mask, ignore=None):
    return ClassificationTarget(label="a", mask=mask, ignore=ignore)


def test_a_hole_and_a_displacement(measured):
    """A ring against a square: the square is moved and grown for free, the hole of 4 x 5 pixels can not be made."""
    truth, ring = rectangle(4, 16, 4, 20), rectangle(3, 20, 6, 28) & ~rectangle(8, 12, 10, 15)
    _, scalars = measured([ring + 0.0], [target(truth)], threshold=0.5, region="mask")
    assert scalars[".mask"].value == 20 / SIZE.height / SIZE.width
    assert scalars[".mask.pixel-error"].value == pytest.approx((truth != ring).mean())
    assert {name: scalar.value for name, scalar in scalars.items() if scalar.unit == "errors"} == {
        ".mask@merges": 0, ".mask@splits": 0, ".mask@hole-additions": 1, ".mask@hole-deletions": 0,
        ".mask@object-additions": 0, ".mask@object-deletions": 0, ".mask@displacements": 0}
    assert scalars[".mask@hole-addition-pixels"].value == 20
    assert (scalars[".mask@hole-additions"].unit, scalars[".mask@hole-addition-pixels"].unit) == ("errors", "pixels")
    assert scalars[".mask"].convention == "forward, threshold 0.5 (min-max)"


def test_directions(measured):
    """Backward the hole shrinks to the one pixel that can not be filled."""
    truth, ring = rectangle(3, 20, 6, 28), rectangle(3, 20, 6, 28) & ~rectangle(8, 12, 10, 15)
    forward, backward = (measured([ring + 0.0], [target(truth)], threshold=0.5, region="mask", convention=each)[1]
                         for each in ("forward", "reverse"))
    assert forward[".mask"].value == 20 / SIZE.height / SIZE.width
    assert backward[".mask"].value == 1 / SIZE.height / SIZE.width
    assert backward[".mask@hole-deletions"].value == 1


def test_it_is_warp_of_the_largest_component(measured, lab):
    rng = np.random.default_rng(0)
    from scipy.ndimage import gaussian_filter

    maps = [gaussian_filter(rng.random(SIZE), 2).astype(np.float32) for _ in range(8)]
    truths = [gaussian_filter(rng.random(SIZE), 3) > 0.5 for _ in range(8)]
    rows, _ = measured(maps, list(map(target, truths)), region="mask")
    for values, saliency, truth in zip(rows.dense("mask"), maps, truths, strict=True):
        mask = saliency >= saliency.mean(dtype=np.float64)
        found = warp(truth, largest_component(mask), np.abs(saliency - saliency.mean(dtype=np.float64)))
        assert values[0] == pytest.approx(found.error, abs=2 / mask.size)  # equal but for rounding of equal distances
        assert values[2:9].sum() == pytest.approx(classify(found).clusters.sum(), abs=2)


def test_components_are_4_connected():
    """Two squares that touch at a corner are two objects; the first of equal ones counts."""
    mask = rectangle(2, 8, 2, 8) | rectangle(8, 14, 8, 14)
    np.testing.assert_array_equal(largest_component(mask), rectangle(2, 8, 2, 8))


def test_a_box_is_its_raster(measured):
    """And equal to the mask of the same pixels."""
    box = ClassificationTarget(label="a", boxes=np.array([[4, 4, 14, 12]], np.float32), mask=rectangle(4, 12, 4, 14))
    rows, _ = measured(np.random.default_rng(0).random((3, *SIZE)), [box] * 3)
    np.testing.assert_array_equal(rows.dense("box"), rows.dense("mask"))


def test_ignored_pixels_are_no_mismatches(measured):
    hole = rectangle(8, 12, 10, 15)
    truth, ring = rectangle(3, 20, 6, 28), rectangle(3, 20, 6, 28) & ~hole
    _, scalars = measured([ring + 0.0], [target(truth, ignore=rectangle(7, 13, 9, 16))], threshold=0.5, region="mask")
    # The object itself leaves ignored pixels out, so that both have the same hole.
    assert scalars[".mask"].value == 0
    assert scalars[".mask.pixel-error"].value == 0


def test_max_distance_and_empty_level_sets(measured):
    truth, far = rectangle(4, 12, 4, 10), rectangle(4, 12, 4, 24)
    _, scalars = measured([far + 0.0], [target(truth)], threshold=0.5, region="mask", max_distance=3)
    assert scalars[".mask"].value == 8 * 11 / SIZE.height / SIZE.width
    assert scalars[".mask@displacements"].value == 1
    _, scalars = measured([far + 0.0], [target(truth)], threshold=2, normalize="none", region="mask")
    assert scalars[".mask"].value == 1
    assert scalars[".mask"].convention == "forward, threshold 2.0 (none)"
    assert (scalars[".mask@merges"].value, scalars[".mask@merges"].n) == (None, 0)


def test_thresholds(measured):
    """A wedge: whatever threshold gives more than the truth costs nothing, its shape is free."""
    wedge = np.tile(np.linspace(0, 1, SIZE.width), (SIZE.height, 1))
    truth = rectangle(0, 24, 24, 32)
    for params in ({}, {"threshold": "area"}, {"threshold": 0.9}, {"threshold": 0.1, "normalize": "max"}):
        _, scalars = measured([wedge], [target(truth)], region="mask", **params)
        assert scalars[".mask"].value == 0


# --- segmentations


def test_a_segmentation_as_it_is():
    """Two cells that the prediction joins, a pixel that nobody judges, an image where all is right."""
    (spec,) = SEGMENTATION
    truth = (rectangle(4, 20, 2, 12) | rectangle(4, 20, 16, 30)).astype(np.int32)
    joined = rectangle(4, 20, 2, 30).astype(np.int16)
    unjudged = truth.copy()
    unjudged[:, 12:16] = -1
    targets = [SegmentationTarget(mask=mask, labels=("background", "cell")) for mask in (truth, unjudged, truth)]
    card = ModelCard(task="segmentation", input=InputSpec(size=(8, 8)), labels=["background", "cell"])
    samples = Samples(["a", "b", "c"], targets, Table(pack_masks([joined, joined, truth.astype(np.int16)])), card)
    metric = create(spec)
    rows = metric.measure(samples)
    assert rows.dense("values")[:, 0].tolist() == [16 / truth.size, 0, 0]
    scalars = metric.summarize(rows).scalars
    assert scalars["@merges"].value == pytest.approx(1 / 3)
    assert scalars["@merge-pixels"].value == pytest.approx(16 / 3)
    assert scalars[".pixel-error"].value == pytest.approx(64 / 3 / truth.size)
    assert metric.warped(samples, 0).warped[10].tolist() != truth[10].astype(bool).tolist()
    reverse = create(spec, convention="reverse")
    assert reverse.summarize(reverse.measure(samples)).scalars["@splits"].value == pytest.approx(1 / 3)
    with pytest.raises(TaskMismatch, match="segmentation targets"):
        metric.measure(replace(samples, targets=[target(truth)] * 3))
