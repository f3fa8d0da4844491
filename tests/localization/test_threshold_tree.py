"""The one-pass sweep against plain loops: one threshold at a time, scipy's labels, pixel sets."""

import numba
import numpy as np
import pytest
from scipy import ndimage

from harness_saliency_metrics import compiled as compiling
from harness_saliency_metrics.sweep import fill_holes
from harness_saliency_metrics.threshold_tree import Ranking, ThresholdTree

STRUCTURES = {8: np.ones((3, 3)), 4: None}
KINDS = ("smooth", "noisy", "tied", "constant", "tiny")


def make_map(kind, seed):
    """(h, w) float32."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    height, width = rng.integers(1, 4, 2) if kind == "tiny" else rng.integers(4, 14, 2)
    noise = rng.normal(size=(height, width))
    if kind == "smooth":
        noise = ndimage.gaussian_filter(noise, 2)
    if kind == "tied":
        noise = np.round(noise * rng.integers(1, 4))
    if kind == "constant":
        noise = np.full_like(noise, rng.integers(-1, 2))
    return noise.astype(np.float32)


def components(pixels, inside, ignore, connectivity):
    """(size, first pixel, box, object pixels, judged pixels) of each component, largest first, then in raster order."""
    labels, count = ndimage.label(pixels, STRUCTURES[connectivity])
    found = []
    for label in range(1, count + 1):
        own = labels == label
        rows, columns = np.nonzero(own)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append((own.sum(), np.flatnonzero(own)[0], *box, (own & inside & ~ignore).sum(), (own & ~ignore).sum()))
    return sorted(found, key=lambda each: (-each[0], each[1]))


def facts(tree, nodes):
    columns = (tree.size, tree.first, *tree.boxes.T, tree.inside, tree.judged)
    return list(zip(*(column[nodes].tolist() for column in columns), strict=True))


@pytest.mark.parametrize("connectivity", [8, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_component_at_every_threshold(kind, connectivity):
    for seed in range(100 if connectivity == 8 else 20):
        values = make_map(kind, seed)
        rng = np.random.default_rng(seed)
        inside, ignore = rng.random(values.shape) < 0.4, rng.random(values.shape) < 0.15
        ranking = Ranking.of(values)
        tree = ThresholdTree.of(ranking, inside, ignore, connectivity)
        np.testing.assert_array_equal(ranking.values, np.unique(values)[::-1])
        for level, threshold in enumerate(ranking.values):
            pixels = values >= threshold
            expected = components(pixels, inside, ignore, connectivity)
            assert sorted(facts(tree, tree.alive(level))) == sorted(expected), (seed, level)
            assert facts(tree, tree.largest[level:level + 1]) == expected[:1], (seed, level)
            np.testing.assert_array_equal(ranking.level_set(level), pixels)
            assert ranking.counts[level] == pixels.sum()
        np.testing.assert_array_equal(ranking.sums(inside), [(inside & (values >= t)).sum() for t in ranking.values])


@pytest.mark.parametrize("connectivity", [8, 4])
def test_the_pixels_of_a_component(connectivity):
    values = make_map("tied", 3)
    tree = ThresholdTree.of(Ranking.of(values), connectivity=connectivity)
    for node in range(len(tree.size)):
        labels, _ = ndimage.label(values >= tree.ranking.values[tree.start[node]], STRUCTURES[connectivity])
        np.testing.assert_array_equal(tree.component(node), labels == labels.flat[tree.first[node]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_component_at_some_levels(kind):
    for seed in range(20):
        tree = ThresholdTree.of(Ranking.of(make_map(kind, seed)))
        rng = np.random.default_rng(seed)
        scores = rng.random(len(tree.size))
        levels = rng.integers(-1, len(tree.largest), 30)
        alive = tree.alive_at(levels)
        expected = [max((scores[node] for node in tree.alive(level)), default=0) for level in levels]
        np.testing.assert_array_equal(alive.best(scores[alive.nodes]), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_of_some_levels(kind):
    """It says the same of these levels as the tree of all."""
    for seed in range(20):
        values = make_map(kind, seed)
        rng = np.random.default_rng(seed)
        ranking, inside, ignore = Ranking.of(values), rng.random(values.shape) < 0.4, rng.random(values.shape) < 0.15
        every = ThresholdTree.of(ranking, inside, ignore)
        levels = rng.integers(-1, len(every.largest), 5)
        some = ThresholdTree.of(ranking, inside, ignore, levels=levels)
        assert some.covers(levels)
        assert every.covers(np.arange(-1, len(every.largest)))
        left = np.setdiff1d(np.arange(len(every.largest)), levels)
        assert not any(some.covers(np.array([level])) for level in left)
        for level in levels[levels >= 0]:
            assert facts(some, some.largest_at(np.array([level]))) == facts(every, [every.largest[level]])
            assert sorted(facts(some, some.alive(level))) == sorted(facts(every, every.alive(level)))
            np.testing.assert_array_equal(some.component(some.largest_at(np.array([level]))[0]),
                                          every.component(every.largest[level]))
        scores = [tree.size + tree.boxes[:, 0] / 7 for tree in (some, every)]
        alive = [tree.alive_at(levels) for tree in (some, every)]
        best = [each.best(score[each.nodes]) for each, score in zip(alive, scores, strict=True)]
        np.testing.assert_array_equal(*best)


def test_pixels_rank_as_in_a_stable_sort():
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0, -1.0, 1e-38], np.float32)
    values = np.concatenate([rng.normal(size=500).astype(np.float32), rng.choice(special, 500)]).reshape(20, 50)
    ranking = Ranking.of(values)
    np.testing.assert_array_equal(ranking.order, np.argsort(-values.ravel(), kind="stable"))
    assert len(ranking.values) == len(np.unique(values))  # 0 and -0 are one value


def test_of_equally_large_components_the_first_in_raster_order_counts():
    values = np.zeros((5, 9), np.float32)
    values[3:5, 0:2] = 2  # begins later, but further left
    values[1:3, 6:8] = 2
    values[0, 0] = 3  # larger value, smaller component
    tree = ThresholdTree.of(Ranking.of(values))
    assert tree.boxes[tree.largest].tolist() == [[0, 0, 1, 1], [6, 1, 8, 3], [0, 0, 9, 5]]


def test_a_component_can_lose_the_lead_and_win_it_back():
    values = np.array([[9, 6, 8, 8, 0, 7, 7, 7]], np.float32)  # 6 joins the first two: four pixels
    tree = ThresholdTree.of(Ranking.of(values))
    assert tree.boxes[tree.largest][:, [0, 2]].tolist() == [[0, 1], [2, 4], [5, 8], [0, 4], [0, 8]]


def test_large_and_thin_maps():
    for shape in ((1, 70000), (70000, 1)):
        with pytest.raises(ValueError, match="65535"):
            Ranking.of(np.zeros(shape, np.float32))
    values = np.arange(65535, dtype=np.float32)[None]
    tree = ThresholdTree.of(Ranking.of(values))
    assert tree.boxes[tree.largest[-1]].tolist() == [0, 0, 65535, 1]


def test_water_fills_what_it_can_not_reach():
    rng = np.random.default_rng(1)
    for trial in range(60):
        levels = rng.integers(0, 6, rng.integers(1, 15, 2)).astype(np.uint8)
        filled = fill_holes(levels.ravel(), levels.shape[1]).reshape(levels.shape)
        for level in range(7):
            np.testing.assert_array_equal(filled > level, ndimage.binary_fill_holes(levels > level), err_msg=str(trial))


def test_without_a_folder_to_write_to_each_process_compiles(monkeypatch):
    njit, calls = numba.njit, []

    def refusing(cache=False, **options):
        calls.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file 'x.py'")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refusing)

    def double(value: int) -> int:
        return 2 * value

    assert compiling.compiled(double)(4) == 8
    assert calls == [True, False]
