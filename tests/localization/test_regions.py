"""Boxes and masks at the model's input size."""

import numpy as np
import pytest

from harness.card import InputSpec
from harness.geometry import Size, place
from harness_saliency_metrics.cases import cases
from harness_saliency_metrics.regions import pixel_boxes, raster

FITS = [("stretch", (7, 5), (12, 9)), ("stretch", (30, 41), (12, 9)), ("crop", (20, 31), (12, 9)),
        ("letterbox", (20, 31), (12, 9)), ("letterbox", (31, 20), (9, 12)), ("stretch", (12, 9), (12, 9))]


@pytest.mark.parametrize(("fit", "native", "size"), FITS)
def test_a_box_is_its_raster(fit, native, size):
    """Its pixels at the input's size are those that the nearest neighbor makes of its native raster."""
    placed = place(Size(*native), InputSpec(size=size, fit=fit))
    rng = np.random.default_rng(0)
    for _ in range(200):
        x0, y0 = rng.integers(0, (native[1], native[0]))
        x1, y1 = rng.integers(x0, native[1]) + 1, rng.integers(y0, native[0]) + 1
        mask = np.zeros(native, bool)
        mask[y0:y1, x0:x1] = True
        found = pixel_boxes(np.array([[x0, y0, x1, y1]], np.float32), placed)
        np.testing.assert_array_equal(raster(found, Size(*size)), placed.mask_to_input(mask))
        assert len(found) == placed.mask_to_input(mask).any()


def test_several_boxes_and_ignored_pixels(batch):
    mask, ignore = np.zeros((6, 8), bool), np.zeros((6, 8), bool)
    mask[1:3, 1:7], ignore[:, 6:] = True, True
    samples = batch([np.zeros((6, 8))], boxes=[[(0, 0, 2, 2), (1, 1, 3, 3), (7, 0, 8, 6)]], masks=[mask],
                    ignore=[ignore])
    (case,) = cases(samples)
    box, own = case.truth.region("box"), case.truth.region("mask")
    assert (box.area, own.area) == (4 + 4 - 1, 10)
    assert (box.judged, own.judged) == (36, 36)
    assert box.boxes.tolist() == [[0, 0, 2, 2], [1, 1, 3, 3], [7, 0, 8, 6]]


def test_what_metrics_share_is_made_once_and_not_kept_by_copies(batch):
    from dataclasses import replace

    samples = batch([np.eye(4)], boxes=[[(0, 0, 2, 2)]])
    assert cases(samples) is cases(samples)
    (case,) = cases(samples)
    assert case.tree is case.tree
    other = replace(samples, saliency=np.ones((1, 4, 4), np.float32))
    assert cases(other)[0].raw.min() == 1
