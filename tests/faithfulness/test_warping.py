"""Warping by simple points: against the definition, against complete passes, and what it must preserve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label

from harness_saliency_metrics.mismatches import Kind, classify
from harness_saliency_metrics.simple_points import tables
from harness_saliency_metrics.warping import warp

FOUR = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
EIGHT = np.ones((3, 3))
SEEDS = st.integers(0, 10**6)


def topology(mask):
    """Objects (4-connected) and holes (8-connected background that does not reach the outside)."""
    inside = np.pad(mask, 1)
    return label(inside, FOUR)[1], label(~inside, EIGHT)[1] - 1


def euler_number(mask):
    """Of the complex whose vertices are the pixels: minus pairs that share an edge, plus full 2x2 blocks."""
    pairs = np.count_nonzero(mask[1:] & mask[:-1]) + np.count_nonzero(mask[:, 1:] & mask[:, :-1])
    blocks = mask[1:, 1:] & mask[1:, :-1] & mask[:-1, 1:] & mask[:-1, :-1]
    return np.count_nonzero(mask) - pairs + np.count_nonzero(blocks)


def is_simple(mask, row, column):
    """By definition: flipping it changes neither the number of objects nor of holes, joins nothing and cuts nothing.

    On the 3x3 neighborhood, where every topological change that a pixel can make is visible.
    """
    patch = np.pad(mask, 1)[row:row + 3, column:column + 3].copy()
    with_, without = patch.copy(), patch.copy()
    with_[1, 1], without[1, 1] = True, False
    edges = [(0, 1), (1, 0), (1, 2), (2, 1)]
    pieces = {label(without, FOUR)[0][at] for at in edges} - {0}
    return len(pieces) == 1 and label(~with_, EIGHT)[1] == 1


def random_masks(seed, size=16, smooth=1.5):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, size, 2)
    source = gaussian_filter(rng.random((height, width)), rng.random() * smooth) > 0.5
    prediction = gaussian_filter(rng.random((height, width)), rng.random() * smooth)
    return rng, source, prediction


def complete_passes(source, target, distance, allowed):
    """Every mismatch in every pass, nothing remembered."""
    mask = source.copy()
    while True:
        columns, rows = np.nonzero((mask != target).T & allowed.T)
        points = [(row, column) for column, row in zip(columns, rows, strict=True)]
        points.sort(key=lambda at: -np.float32(distance[at]))
        flipped = False
        for at in points:
            if is_simple(mask, *at):
                mask[at], flipped = not mask[at], True
        if not flipped:
            return mask


def test_the_table_is_the_definition():
    for code in range(512):
        patch = np.array([code >> bit & 1 for bit in range(9)], np.bool_).reshape(3, 3)
        inner = np.pad(patch, 4)
        inner[5, 5] = patch[1, 1]
        assert tables().simple[code] == is_simple(inner, 5, 5), code


def test_the_table_by_counting():
    """A simple point changes neither count, in the mask of its neighborhood alone; of the others at least one."""
    for code in range(512):
        patch = np.pad(np.array([code >> bit & 1 for bit in range(9)], np.bool_).reshape(3, 3), 2)
        other = patch.copy()
        other[3, 3] = not other[3, 3]
        if tables().simple[code]:
            assert topology(patch) == topology(other)


@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from(["distance", "ties", "none"]))
def test_it_equals_complete_passes(seed, how):
    _, source, prediction = random_masks(seed)
    distance = {"distance": np.abs(prediction - 0.5), "ties": np.round(np.abs(prediction - 0.5), 1),
                "none": np.zeros_like(prediction)}[how]
    found = warp(source, prediction >= 0.5, None if how == "none" else distance)
    np.testing.assert_array_equal(
        found.warped, complete_passes(source, prediction >= 0.5, distance, np.ones_like(source)))


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_what_warping_preserves(seed):
    _, source, prediction = random_masks(seed, 30)
    target = prediction >= 0.5
    for first, second in ((source, target), (target, source)):
        found = warp(first, second, np.abs(prediction - 0.5))
        assert found.error <= (first != second).mean()
        assert topology(found.warped) == topology(first)
        assert euler_number(found.warped) == euler_number(first)
        np.testing.assert_array_equal(found.mismatches, found.warped != second)
        for at in np.argwhere(found.mismatches):
            assert not is_simple(found.warped, *at), "a further flip would help"
        again = warp(first, second, np.abs(prediction - 0.5))
        np.testing.assert_array_equal(found.warped, again.warped)


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_a_growth_by_simple_flips_is_warped_back(seed):
    """When the order of the sweep is the order in which the mask grew, nothing remains."""
    rng, source, _ = random_masks(seed, 20)
    target, distance = source.copy(), np.zeros(source.shape)
    for step in range(60):
        row, column = rng.integers(0, source.shape[0]), rng.integers(0, source.shape[1])
        if target[row, column] == source[row, column] and is_simple(target, row, column):
            target[row, column] = not target[row, column]
            distance[row, column] = 100 - step
    assert warp(source, target, distance).error == 0


def test_the_order_can_keep_a_growth_from_being_undone():
    """Among equal distances columns decide: then some growths by simple flips are not found again."""
    remaining = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        source = rng.random((8, 8)) > 0.5
        target = source.copy()
        for _ in range(200):
            row, column = rng.integers(0, 8, 2)
            if target[row, column] == source[row, column] and is_simple(target, row, column):
                target[row, column] = not target[row, column]
        remaining.append(warp(source, target).error)
    assert 0 < np.count_nonzero(remaining) < 60


def test_equal_and_extreme_masks():
    rng = np.random.default_rng(0)
    mask = rng.random((9, 7)) > 0.4
    assert warp(mask, mask).error == 0
    empty, full = np.zeros((9, 7), np.bool_), np.ones((9, 7), np.bool_)
    assert warp(empty, full).error == 1, "nothing can appear from nothing"
    shrunk = warp(full, empty)
    assert shrunk.warped.sum() == 1, "one pixel of an object remains"
    assert classify(shrunk).clusters.tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert warp(full[:1, :1], empty[:1, :1]).error == 1
    with pytest.raises(ValueError, match="shapes"):
        warp(full, full[1:])


def test_max_distance_bounds_the_move_of_the_boundary():
    source, target = np.zeros((40, 60), np.bool_), np.zeros((40, 60), np.bool_)
    source[10:30, 10:20] = target[10:30, 10:50] = True
    for limit, columns in ((0, 0), (1, 1), (4.5, 4), (40, 30)):
        found = warp(source, target, max_distance=limit)
        assert found.warped.sum() - source.sum() == 20 * columns
        if columns < 30:
            pixels = classify(found).pixels
            assert pixels[Kind.DISPLACEMENT - 1] == 20, "the pixels beside the boundary"
    assert warp(source, target, max_distance=0).error == (source != target).mean()
    assert warp(np.zeros_like(source), target, max_distance=5).error == target.mean()


@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_kinds_are_what_flipping_does(seed):
    _, source, prediction = random_masks(seed, 20)
    found = warp(source, prediction >= 0.5)
    errors = classify(found)
    np.testing.assert_array_equal(errors.kinds > 0, found.mismatches)
    assert errors.pixels.sum() == found.mismatches.sum()
    objects, holes = topology(found.warped)
    for row, column in np.argwhere(found.mismatches):
        flipped = found.warped.copy()
        flipped[row, column] = gained = not flipped[row, column]
        now_objects, now_holes = topology(flipped)
        kind = Kind(errors.kinds[row, column])
        expected = {Kind.MERGE: gained and now_objects < objects, Kind.SPLIT: not gained and now_objects > objects,
                    Kind.HOLE_ADDITION: now_objects == objects and now_holes > holes,
                    Kind.HOLE_DELETION: now_objects == objects and now_holes < holes,
                    Kind.OBJECT_ADDITION: gained and now_objects == objects + 1,
                    Kind.OBJECT_DELETION: not gained and now_objects == objects - 1}
        assert expected[kind], kind


def picture(*rows):
    return np.array([[char == "#" for char in row] for row in rows])


@pytest.mark.parametrize(("kind", "source", "target"), [
    (Kind.MERGE, ["####..####", "####..####", "####..####"], ["##########", "##########", "##########"]),
    (Kind.SPLIT, ["##########", "##########", "##########"], ["####..####", "####..####", "####..####"]),
    (Kind.HOLE_ADDITION, ["#######", "#######", "#######", "#######"], ["#######", "##..###", "###.###", "#######"]),
    (Kind.HOLE_DELETION, ["#######", "##..###", "###.###", "#######"], ["#######", "#######", "#######", "#######"]),
    (Kind.OBJECT_ADDITION, ["##.......", "##.......", "........."], ["##...##..", "##...##..", "........."]),
    (Kind.OBJECT_DELETION, ["##...##..", "##...##..", "........."], ["##.......", "##.......", "........."]),
])
def test_one_error_is_one_cluster(kind, source, target):
    found = warp(picture(*source), picture(*target))
    assert found.error > 0
    clusters = classify(found).clusters
    assert clusters[kind - 1] == clusters.sum() == 1


def test_a_shifted_boundary_is_no_topological_error():
    y, x = np.mgrid[:60, :60]
    small, large = (x - 30) ** 2 + (y - 30) ** 2 < 15**2, (x - 34) ** 2 + (y - 27) ** 2 < 22**2
    for first, second in ((small, large), (large, small)):
        assert (first != second).mean() > 0.1
        assert warp(first, second).error == 0
