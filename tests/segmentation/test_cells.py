"""The generated cells: deterministic, touching, and apart by a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from harness_segmentation.cells import CellImages, separate
from harness_segmentation.params import CellsParams


def test_an_image_depends_on_seed_split_and_index_alone() -> None:
    few, many = CellImages(CellsParams(count=3)), CellImages(CellsParams(count=30))
    (image, target), (again, same) = few.sample(2), many.sample(2)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(target.mask, same.mask)
    np.testing.assert_array_equal(target.instances, same.instances)
    others = [CellImages(CellsParams(seed=1)), CellImages(CellsParams(split="train"))]
    assert all((few.sample(2)[0] != other.sample(2)[0]).any() for other in others)
    with pytest.raises(IndexError):
        few.sample(3)


@pytest.mark.parametrize("size", [64, 128, 200])
def test_cells_are_the_components_of_the_mask(size: int) -> None:
    """Numbered without gaps, each connected, so that a perfect prediction finds every one of them."""
    touching = 0
    for index in range(6):
        numbers = CellImages(CellsParams(size=size)).sample(index)[1].instances
        assert numbers is not None
        for structure in (None, np.ones((3, 3))):
            parts, count = ndimage.label(numbers > 0, structure)
            assert count == numbers.max() == len(np.unique(numbers)) - 1
            assert len(np.unique(np.stack([parts, numbers]).reshape(2, -1), axis=1).T) == count + 1
        assert np.bincount(numbers.ravel())[1:].min() >= 40
        grown = ndimage.grey_dilation(numbers, size=(3, 3))
        lowest = -ndimage.grey_dilation(np.where(numbers > 0, -numbers, -9999), size=(3, 3))
        touching += int(((numbers == 0) & (grown != lowest) & (grown > 0)).any())
    assert touching >= 3


def test_cells_are_brighter_than_the_background() -> None:
    (batch,) = CellImages(CellsParams(count=8)).batches(8)
    for image, target in zip(batch.images, batch.targets, strict=True):
        assert image.dtype == np.uint8
        assert image[target.mask == 1].mean() > image[target.mask == 0].mean() + 25  # type: ignore[union-attr]
        assert 0.15 < (target.mask == 1).mean() < 0.7  # type: ignore[union-attr]


def test_of_two_neighbors_the_later_one_gives_way() -> None:
    owner = np.zeros((20, 20), np.int32)
    owner[:, :10], owner[:, 10:] = 7, 3
    numbers = separate(owner)
    assert numbers[0].tolist() == [2] * 9 + [0] + [1] * 10


def test_ranges_are_ordered() -> None:
    with pytest.raises(ValidationError, match=r"radius must be \[low, high\]"):
        CellsParams(radius=(9, 8))
