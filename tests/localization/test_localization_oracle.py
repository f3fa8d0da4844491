"""Every localization metric against its definition in plain loops over pixel sets, one threshold at a time."""

import math

import numpy as np
import pytest
from scipy import ndimage

KINDS = ("smooth", "noisy", "tied", "constant", "tiny")
GRID = [k / 100 for k in range(100)]
GROUPS, SIZE = 10, 10  # of maps for each kind: 500 in all


def make_group(kind, seed):
    """Maps of one size with up to three boxes, a mask, sometimes nothing to be found, sometimes ignored pixels."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    height, width = (int(side) for side in (rng.integers(1, 4, 2) if kind == "tiny" else rng.integers(5, 13, 2)))
    maps, boxes, masks, ignore = [], [], [], []
    for _ in range(SIZE):
        noise = rng.normal(size=(height, width))
        if kind == "smooth":
            noise = ndimage.gaussian_filter(noise, 1.5)
        if kind == "tied":
            noise = np.round(noise * rng.integers(1, 4))
        if kind == "constant" and rng.random() < 0.8:
            noise[:] = rng.choice([0, 1, np.nan, np.inf])
        maps.append(noise.astype(np.float32))
        corners = rng.integers(0, (width, height), (rng.integers(0, 4), 2))
        extents = rng.integers(1, (width + 1, height + 1), corners.shape)
        boxes.append(np.concatenate([corners, np.minimum(corners + extents, (width, height))], axis=1))
        masks.append(rng.random((height, width)) < rng.choice([0, 0.3, 0.6, 1], p=[0.1, 0.4, 0.4, 0.1]))
        ignore.append(rng.random((height, width)) < 0.2 if seed % 2 else None)
    return {"maps": maps, "boxes": boxes, "masks": masks, "ignore": ignore, "right": rng.random(SIZE) < 0.7,
            "classes": rng.integers(0, 2, SIZE)}


def scaled(raw, how):
    """float32, or None for a map that says nothing."""
    if not np.isfinite(raw).all() or raw.min() == raw.max() or (how == "max" and raw.max() <= 0):
        return None
    if how == "max":
        return np.maximum(raw, 0) / raw.max()
    shifted = raw - raw.min()
    return shifted / shifted.max()


def components(pixels):
    """Largest first, then in raster order; each as pixels."""
    labels, count = ndimage.label(pixels, np.ones((3, 3)))
    return sorted((labels == k for k in range(1, count + 1)), key=lambda own: (-own.sum(), np.flatnonzero(own)[0]))


def box_of(own):
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    raster = np.zeros_like(own)
    raster[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] = True
    return raster


class Oracle:
    """One image. objects: by region, the pixels of each object; none where there is nothing to be found."""

    def __init__(self, group, index):
        self.raw = group["maps"][index]
        self.index, self.right, self.label = index, group["right"][index], group["classes"][index]
        ignored = group["ignore"][index]
        self.judged = np.ones(self.raw.shape, bool) if ignored is None else ~ignored
        rasters = []
        for x0, y0, x1, y1 in group["boxes"][index]:
            raster = np.zeros(self.raw.shape, bool)
            raster[y0:y1, x0:x1] = True
            rasters.append(raster)
        mask = group["masks"][index] & self.judged
        union = np.any(rasters, axis=0) & self.judged if rasters else np.zeros_like(mask)
        self.objects = {"box": rasters if union.any() else [], "mask": [mask] if mask.any() else []}
        self.pixels = {"box": union, "mask": mask}
        self.trees = {}

    def overlap(self, own, region):
        """(common, predicted, truth) pixels with the object of the highest IoU."""
        predicted = box_of(own) if region == "box" else own & self.judged  # boxes are compared whole
        counts = [((predicted & each).sum(), predicted.sum(), each.sum()) for each in self.objects[region]]
        return max(counts, key=lambda c: c[0] / (c[1] + c[2] - c[0]))

    def iou(self, own, region):
        common, predicted, truth = self.overlap(own, region)
        return common / (predicted + truth - common)

    def binarized(self, threshold="mean", how="min-max"):
        if threshold == "mean":
            values = self.raw.astype(np.float64)
            values = np.maximum(values, 0) if how == "max" else values
            return values >= values.mean()
        values = scaled(self.raw, how)
        if threshold == "area":
            count = max(1, round(float(values.sum(dtype=np.float64))))
            return values >= np.sort(values.ravel())[::-1][min(count, values.size) - 1]
        return values >= np.float32(threshold)

    def at(self, t):
        if t not in self.trees:
            self.trees[t] = components(scaled(self.raw, "min-max") >= np.float32(t))
        return self.trees[t]


def localization_error(o, region, threshold="mean", score="continuous", **_):
    iou = o.iou(components(o.binarized(threshold))[0], region)
    return [float(iou <= 0.5) if score == "hit" else 1 - iou]


def official_metric(o, region, **params):
    return localization_error(o, region, **params) if o.right else [1.0]


def pixel_f1(o, region, convention="binary", threshold="mean", normalize="min-max"):
    if convention == "continuous":
        values = scaled(o.raw, "max").astype(np.float64)
        inside = values[o.pixels[region]].sum()
        total = values[o.judged].sum()
        precision, recall = inside / total if total else 0.0, inside / o.pixels[region].sum()
    else:
        common, predicted, truth = o.overlap(components(o.binarized(threshold, normalize))[0], region)
        precision, recall = common / predicted if predicted else 0.0, common / truth
    return [2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall]


def pointing_game(o, region, convention="share", tolerance=0.0):
    best = o.raw[o.judged].max()
    hits = []
    for y, x in np.argwhere((o.raw == best) & o.judged):
        near = [math.hypot(y - v, x - u) for v, u in np.argwhere(o.pixels[region])]
        hits.append(min(near) < tolerance or min(near) == 0)
    return [float(any(hits)) if convention == "any" else np.mean(hits)]


def energy_pointing_game(o, region):
    values = scaled(o.raw, "max").astype(np.float64)
    total = values[o.judged].sum()
    return [values[o.pixels[region]].sum() / total if total else 0.0]


def mae(o, region):
    return [np.abs(scaled(o.raw, "min-max").astype(np.float64) - o.pixels[region])[o.judged].mean()]


def relevance_rank_accuracy(o, region, convention="area", k=None):
    inside = o.pixels[region]
    k = min(inside.sum() if convention == "area" else k or 1000, o.judged.sum())
    ranked = sorted(np.flatnonzero(o.judged), key=lambda p: (-o.raw.flat[p], p))[:k]
    share = np.mean([inside.flat[p] for p in ranked])
    return [share / (inside.sum() / o.judged.sum()) if convention == "concept-influence" else share]


def attribution_auc(o, region):
    own, other = o.raw[o.pixels[region]], o.raw[o.judged & ~o.pixels[region]]
    if not len(other):
        return None
    return [np.mean([(a > b) + 0.5 * (a == b) for a in own for b in other])]


def grid_ious(o, region, convention):
    if convention == "per-image":
        return [max(o.iou(components(o.raw >= t)[0], region) for t in np.unique(o.raw))]
    return [max(o.iou(own, region) for own in (o.at(t) if convention == "v2" else o.at(t)[:1])) for t in GRID]


def max_box_acc(o, region, convention="v1"):
    return grid_ious(o, "box", convention)


def max_mask_acc(o, region, convention="v1"):
    return grid_ious(o, "mask", convention)


def pxap(o, region, convention="grid"):
    values, inside = scaled(o.raw, "min-max"), o.pixels["mask"]
    thresholds = [*GRID, 1.0] if convention == "wsol" else GRID
    counts = [[((values >= np.float32(t)) & part).sum() for t in thresholds] for part in (inside, o.judged & ~inside)]
    return [*counts[0], *counts[1], inside.sum()]


def lrp_error(o, region, objects="best", iou=0.5):
    found = components(o.binarized())
    if objects == "best":
        pairs = [[o.iou(found[0], region)]]
    else:
        pairs = []
        for own in found:
            predicted = box_of(own) if region == "box" else own & o.judged
            pairs.append([(predicted & truth).sum() / (predicted | truth).sum() for truth in o.objects[region]])
    left = {(i, j): value for i, row in enumerate(pairs) for j, value in enumerate(row)}
    hits = []
    while left and max(left.values()) >= iou:
        i, j = max(left, key=left.get)
        hits.append(left[i, j])
        left = {key: value for key, value in left.items() if key[0] != i and key[1] != j}
    return [sum(1 - hit for hit in hits), len(hits), len(pairs) - len(hits), len(pairs[0]) - len(hits)]


BOTH = ("box", "mask")
CASES = [
    (localization_error, {}, BOTH, "min-max"), (localization_error, {"threshold": 0.3}, BOTH, "min-max"),
    (localization_error, {"threshold": "area"}, BOTH, "min-max"),
    (localization_error, {"score": "hit"}, BOTH, "min-max"),
    (official_metric, {}, BOTH, "min-max"),
    (pixel_f1, {}, BOTH, "min-max"), (pixel_f1, {"convention": "continuous"}, BOTH, "max"),
    (pixel_f1, {"threshold": 0.5, "normalize": "max"}, BOTH, "max"),
    (pixel_f1, {"threshold": "mean", "normalize": "max"}, BOTH, "max"),
    (pointing_game, {}, BOTH, "min-max"), (pointing_game, {"convention": "any"}, BOTH, "min-max"),
    (pointing_game, {"tolerance": 2.0}, BOTH, "min-max"),
    (energy_pointing_game, {}, BOTH, "max"), (mae, {}, BOTH, "min-max"),
    (relevance_rank_accuracy, {}, BOTH, "min-max"),
    (relevance_rank_accuracy, {"convention": "top-k", "k": 7}, BOTH, "min-max"),
    (relevance_rank_accuracy, {"convention": "concept-influence"}, BOTH, "min-max"),
    (attribution_auc, {}, BOTH, "min-max"),
    (max_box_acc, {}, ("box",), "min-max"), (max_box_acc, {"convention": "v2"}, ("box",), "min-max"),
    (max_box_acc, {"convention": "per-image"}, ("box",), "min-max"),
    (max_mask_acc, {}, ("mask",), "min-max"), (max_mask_acc, {"convention": "v2"}, ("mask",), "min-max"),
    (max_mask_acc, {"convention": "per-image"}, ("mask",), "min-max"),
    (pxap, {}, ("mask",), "min-max"), (pxap, {"convention": "wsol"}, ("mask",), "min-max"),
    (lrp_error, {}, BOTH, "min-max"), (lrp_error, {"objects": "all", "iou": 0.2}, BOTH, "min-max"),
]
WORST = {"localization_error": [1], "official_metric": [1], "mae": [1], "lrp_error": [0, 0, 1, 1]}
SUMS = {"energy_pointing_game", "mae", "pixel_f1"}  # of floats, in another order


@pytest.fixture(scope="module")
def groups(batch):
    """The batches, and the oracle of each image."""
    made = [make_group(kind, seed) for kind in KINDS for seed in range(GROUPS)]
    return [(batch(**group), [Oracle(group, index) for index in range(SIZE)]) for group in made]


@pytest.mark.parametrize(("function", "params", "regions", "how"), CASES,
                         ids=[f"{case[0].__name__}-{'-'.join(map(str, case[1].values()))}" for case in CASES])
def test_rows_follow_the_definition(function, params, regions, how, groups, metric):
    name = function.__name__
    tested = metric(name.replace("_", "-"), **params)
    states = {0: 0, 1: 0, 2: 0}
    for samples, oracles in groups:
        rows = tested.measure(samples)
        for region in regions:
            for oracle in oracles:
                state, row = int(rows.dense(f"{region}.state")[oracle.index]), rows.dense(region)[oracle.index]
                states[state] += 1
                if not oracle.objects[region]:
                    expected = (0, None)
                elif scaled(oracle.raw, how) is None:
                    worst = list(WORST.get(name, np.zeros(len(row))))
                    if name == "pxap":
                        worst[-1] = oracle.pixels["mask"].sum()
                    expected = (2, worst)
                else:
                    value = function(oracle, region, **params)
                    expected = (0, None) if value is None else (1, value)
                assert state == expected[0], (region, oracle.index)
                if state:
                    np.testing.assert_allclose(row, expected[1], rtol=1e-12 if name in SUMS else 1e-15, atol=1e-15)
    assert all(states.values())


def test_summaries_follow_from_the_rows(groups, metric):
    samples, oracles = groups[11]  # noisy, with ignored pixels
    shown = [o for o in oracles if o.objects["box"]]

    def scalars(name, **params):
        made = metric(name, **params)
        return made.summarize(made.measure(samples)).scalars

    error = scalars("localization-error")
    assert error[".box"].value == pytest.approx(np.mean([localization_error(o, "box") for o in shown]))
    assert (error[".box"].n, error[".box.left-out"].value) == (len(shown), SIZE - len(shown))
    ious = np.array([max_box_acc(o, "box") for o in shown])
    best = (ious >= 0.5).mean(axis=0)
    found = scalars("max-box-acc")
    assert found[""].value == best.max()
    assert found[".threshold@0.5"].value == GRID[int(best.argmax())]
    assert found[".mean-iou"].value == pytest.approx(ious.mean(axis=0).max())
    every = np.array([max_box_acc(o, "box", "v2") for o in shown])
    assert scalars("max-box-acc", convention="v2")[""].value == pytest.approx(
        np.mean([(every >= iou).mean(axis=0).max() for iou in (0.3, 0.5, 0.7)]))
    masks = [o for o in oracles if o.objects["mask"]]
    totals = np.sum([pxap(o, "mask") for o in masks], axis=0)
    area, last = 0.0, 0.0
    for right, wrong in reversed(list(zip(totals[:100], totals[100:200], strict=True))):
        recall = right / totals[-1]
        area += right / (right + wrong) * (recall - last)
        last = recall
    assert scalars("pxap")[""].value == pytest.approx(area, rel=1e-12)
    error, hits, extra, missed = np.sum([lrp_error(o, "box") for o in shown], axis=0)
    found = scalars("lrp-error")
    assert found[".box"].value == pytest.approx((2 * error + extra + missed) / (hits + extra + missed))
    assert found[".box.false-positives"].value == pytest.approx(extra / (hits + extra))
    assert found[".box.false-negatives"].value == pytest.approx(missed / (hits + missed))


def test_the_pointing_game_by_class(batch, values):
    maps = np.zeros((4, 3, 3))
    maps[:, 0, 0] = 1
    boxes = [[[0, 0, 1, 1]], [[0, 0, 2, 2]], [[0, 0, 1, 3]], [[1, 1, 3, 3]]]
    samples = batch(maps, boxes=boxes, classes=[0, 0, 0, 1])
    assert values(samples, "pointing-game", region="box")[".box"] == 0.75
    assert values(samples, "pointing-game", region="box", average="classes")[".box"] == 0.5
