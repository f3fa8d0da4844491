"""Generated shapes: deterministic, boxes where the shapes are, sizes that fit the anchors."""

import numpy as np
import pytest
from pydantic import ValidationError

from harness_detection.boxes import iou_matrix
from harness_detection.params import SHAPES, ShapesParams
from harness_detection.shapes import Shapes, coverage


@pytest.fixture(scope="module")
def samples():
    dataset = Shapes(ShapesParams(count=40))
    return [dataset.sample(index) for index in range(40)]


def test_an_image_depends_on_seed_split_and_index_alone(samples):
    again = Shapes(ShapesParams(count=7)).sample(5)
    np.testing.assert_array_equal(again[0], samples[5][0])
    np.testing.assert_array_equal(again[1].boxes, samples[5][1].boxes)
    for other in (ShapesParams(seed=1), ShapesParams(split="val")):
        assert not np.array_equal(Shapes(other).sample(5)[0], samples[5][0])


def test_boxes_and_counts_are_within_their_ranges(samples):
    sides = {name: [] for name in SHAPES}
    for image, target in samples:
        assert image.shape == (224, 224, 3)
        assert 1 <= len(target.boxes) <= 6
        assert (target.boxes >= 2).all()
        assert (target.boxes <= 222).all()
        overlaps = iou_matrix(target.boxes, target.boxes) - np.eye(len(target.boxes))
        assert overlaps.max() <= 0.2 + 1e-6
        for label, box in zip(target.labels, target.boxes, strict=True):
            sides[label].append(box[2:] - box[:2])
    for name, low, high in (("circle", 16, 32), ("square", 48, 96), ("triangle", 104, 184)):
        values = np.array(sides[name])
        assert len(values) > 15
        assert low - 1e-3 <= values.min() <= values.max() <= high + 1e-3


@pytest.mark.parametrize(("label", "share"), [(0, np.pi / 4), (1, 1.0), (2, 0.5)])
def test_coverage_has_the_area_and_the_extent_of_the_shape(label, share):
    box = np.array([10.3, 20.6, 90.8, 101.1])
    covered = coverage(label, box, 128)
    assert covered.sum() == pytest.approx(share * 80.5**2, rel=0.01)
    rows, columns = np.nonzero(covered > 0.02)
    extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(extent, box, atol=2.1 if label == 2 else 1.1)


def test_shapes_stand_out_from_the_ground(samples):
    """A pixel in the middle of the topmost shape differs from the mean color of the image's border."""
    image, target = samples[0]
    x, y = ((target.boxes[-1, :2] + target.boxes[-1, 2:]) / 2).astype(int)
    border = np.concatenate([image[0], image[-1]]).mean(axis=0)
    assert np.linalg.norm(image[y, x] - border) > 30


def test_bad_params_are_refused():
    with pytest.raises(ValidationError, match=r"circle must be \[low, high\] with low <= high"):
        ShapesParams(circle=(30.0, 20.0))
    with pytest.raises(ValidationError, match="triangle: 184 px do not fit into an image of 128 px"):
        ShapesParams(size=128)
    with pytest.raises(IndexError):
        Shapes(ShapesParams(count=2)).sample(2)
