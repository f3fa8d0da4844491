"""The border weight map by its formula, computed once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness_segmentation.cells import CellImages
from harness_segmentation.params import CellsParams
from harness_segmentation.weights import WeightCache, objects_of, two_distances, weight_map

OPTIONS = {"border": 10.0, "sigma": 5.0, "balance": False, "clip": 100.0}


@settings(deadline=None, max_examples=40)
@given(arrays(np.int32, (7, 6), elements=st.sampled_from([0, 0, 0, 1, 2, 3])))
def test_the_formula_by_brute_force(objects: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> None:
    weights = weight_map((objects > 0).astype(np.int32), objects, border=10, sigma=5, balance=False, clip=100)
    pixels = {number: np.argwhere(objects == number) for number in (1, 2, 3) if (objects == number).any()}
    for position in np.ndindex(objects.shape):
        distances = sorted(float(np.hypot(*(each - position).T).min()) for each in pixels.values())
        border = len(distances) > 1 and objects[position] == 0
        expected = 1 + (10 * np.exp(-((distances[0] + distances[1]) ** 2) / 50) if border else 0)
        assert weights[position] == pytest.approx(expected, rel=1e-5)


def test_classes_are_balanced_ignored_pixels_do_not_count_and_large_weights_are_clipped() -> None:
    mask = np.array([[0, 0, 0, 1, -1, -1]], np.int32)
    objects = np.zeros_like(mask)
    balanced = weight_map(mask, objects, border=0, sigma=5, balance=True, clip=12)
    np.testing.assert_allclose(balanced, [[4 / 6, 4 / 6, 4 / 6, 2, 0, 0]], rtol=1e-6)
    assert weight_map(mask, objects, border=0, sigma=5, balance=True, clip=1.5).max() == 1.5
    assert (weight_map(-np.ones((2, 2), np.int32), objects, border=0, sigma=5, balance=True, clip=9) == 0).all()


def test_the_gap_between_touching_cells_weighs_most() -> None:
    numbers = CellImages(CellsParams(count=1)).sample(0)[1].instances
    assert numbers is not None
    weights = weight_map((numbers > 0).astype(np.int32), numbers, border=10, sigma=5, balance=False, clip=100)
    nearest, second = two_distances(numbers)
    gap = (numbers == 0) & (nearest + second <= 2.01)
    assert gap.any()
    assert weights[gap].min() > weights[(numbers == 0) & (nearest + second > 4)].max()


def test_objects_without_numbers_are_components() -> None:
    mask = np.array([[1, 1, 0, 1, 2]], np.int32)
    assert objects_of(mask, None).tolist() == [[1, 1, 0, 2, 2]]
    assert objects_of(mask, mask) is mask


def test_a_map_is_computed_once_until_the_budget_is_spent() -> None:
    calls = []

    def make(mask: np.ndarray[tuple[int, int], np.dtype[np.int32]], objects: object) -> object:
        calls.append(mask)
        return np.zeros(mask.shape, np.float32)

    cache = WeightCache(budget=2 * 16 * 4)
    masks = [np.full((4, 4), value, np.int32) for value in range(3)]
    for index in (0, 0, 1, 0, 2, 0, 1):
        cache.get(masks[index].copy(), masks[0], make)  # type: ignore[arg-type]
    assert [int(mask[0, 0]) for mask in calls] == [0, 1, 2, 1]
    assert cache.bytes == 2 * 16 * 4
