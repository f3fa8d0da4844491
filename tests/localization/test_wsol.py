"""The published MaxBoxAcc protocol, written down from its definition with OpenCV's contours, against the sweep."""

import numpy as np
import pytest
from scipy import ndimage

from harness_saliency_metrics.neighborhood import polygon_growth
from harness_saliency_metrics.sweep import sweep
from harness_saliency_metrics.threshold_tree import Ranking, groups, most_components
from harness_saliency_metrics.wsol import any_contour_iou, gray_levels, largest_contour_iou

cv2 = pytest.importorskip("cv2", reason="the extra wsol is not installed")

GRID = np.arange(100) / 100
KINDS = ("smooth", "noisy", "tied", "binary", "rings")


def make_map(kind, seed):
    rng = np.random.default_rng([KINDS.index(kind), seed])
    height, width = rng.integers(6, 40, 2)
    values = rng.random((height, width))
    if kind == "smooth":
        values = ndimage.gaussian_filter(values, rng.uniform(1, 4))
    if kind == "tied":
        values = np.round(values * 5)
    if kind == "binary":  # lines, dots and small holes: contours without area
        values = (values > rng.choice([0.5, 0.8, 0.95])).astype(float)
    if kind == "rings":  # holes with islands with holes
        rows, columns = np.mgrid[:height, :width]
        distance = np.hypot(rows - rng.uniform(0, height), columns - rng.uniform(0, width))
        values = np.sin(distance * rng.uniform(0.5, 1.5)) + values * 0.3
    return values.astype(np.float32)


def make_boxes(rng, shape, count):
    height, width = shape
    corners = rng.integers(0, (width, height), (count, 2))
    return np.concatenate([corners, np.minimum(corners + rng.integers(1, (width, height), (count, 2)),
                                               (width, height))], axis=1)


def published(raw, truth, *, every, native=None):
    """(100,) the highest IoU at each threshold; truth: (M, 4) half-open; native: size of the image if not the map's."""
    scaled = raw - raw.min()
    scaled /= scaled.max()
    height, width = raw.shape
    image = (scaled * 255).astype(np.uint8)
    corners = [[int(edge * to / of) for edge, to, of in
                zip(box - [0, 0, 1, 1], (width, height) * 2, (native or raw.shape)[::-1] * 2, strict=True)]
               for box in truth]
    best, known = [], {}
    for t in GRID:
        cut = int(t * np.max(image))
        if cut not in known:
            _, binary = cv2.threshold(image, cut, 255, cv2.THRESH_BINARY)
            contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
            boxes = []
            for contour in contours if every else [max(contours, key=cv2.contourArea)]:
                x, y, w, h = cv2.boundingRect(contour)
                boxes.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
            known[cut] = max(iou(np.array(boxes), np.array(each)).max() for each in corners)
        best.append(known[cut])
    return np.array(best)


def iou(boxes, other):
    """Of inclusive corners: (K, 4) with (4,)."""
    sides = np.maximum(0, np.minimum(boxes[:, 2:], other[2:]) - np.maximum(boxes[:, :2], other[:2]) + 1)
    common = sides[:, 0] * sides[:, 1]
    areas = [(box[..., 2] - box[..., 0] + 1) * (box[..., 3] - box[..., 1] + 1) for box in (boxes, other)]
    return common / (areas[0] + areas[1] - common)


@pytest.mark.parametrize("method", ["wsol", "wsol-v2"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_bit_for_bit(kind, method, batch, metric):
    for seed in range(40):  # 200 maps in all
        raw = make_map(kind, seed)
        truth = make_boxes(np.random.default_rng(seed), raw.shape, 1 + seed % 3)
        rows = metric("max-box-acc", convention=method).measure(batch([raw], boxes=[truth]))
        expected = published(raw, truth, every=method == "wsol-v2")
        np.testing.assert_array_equal(rows.dense("box")[0], expected, err_msg=str(seed))


@pytest.mark.parametrize("method", ["wsol", "wsol-v2"])
def test_boxes_of_larger_and_smaller_images(method, batch, metric):
    """The truth is made inclusive in native pixels, then scaled, then truncated."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        raw = make_map("smooth", seed)
        native = tuple(int(side) for side in rng.integers(5, 90, 2))
        truth = make_boxes(rng, native, 1 + seed % 3)
        samples = batch([raw], boxes=[truth], native=native)
        rows = metric("max-box-acc", convention=method).measure(samples)
        if rows.dense("box.state")[0]:  # else no pixel center lies inside
            expected = published(raw, truth, every=method == "wsol-v2", native=native)
            np.testing.assert_array_equal(rows.dense("box")[0], expected, err_msg=str(seed))


def test_at_the_size_of_real_maps():
    rng = np.random.default_rng(0)
    for sigma in (0, 2, 12):
        raw = rng.normal(size=(224, 224))
        raw = (ndimage.gaussian_filter(raw, sigma) if sigma else raw).astype(np.float32)
        truth = make_boxes(rng, raw.shape, 2)
        scaled = raw - raw.min()
        levels = gray_levels(scaled / scaled.max())
        corners = truth - [0, 0, 1, 1]
        np.testing.assert_array_equal(largest_contour_iou(levels, corners, GRID), published(raw, truth, every=False))
        np.testing.assert_array_equal(any_contour_iou(levels, corners, GRID), published(raw, truth, every=True))


def test_the_area_of_an_outline_is_that_of_its_polygon():
    """Twice the area, pixel by pixel, against OpenCV's polygon, for regions without holes."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        shape = tuple(rng.integers(1, 12, 2))
        region = ndimage.binary_fill_holes(rng.random(shape) < rng.choice([0.3, 0.5, 0.7]))
        if not region.any():
            continue
        ranking = Ranking.of(region.astype(np.float32))
        nodes, _, largest = sweep(ranking.order, ranking.counts[:1], shape[1], np.zeros(region.size, np.uint8),
                                  groups(8), polygon_growth(), -1, most_components(shape, 8))
        contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert sorted(nodes[:, 2] / 2) == sorted(map(cv2.contourArea, contours))
        assert nodes[largest[0], 2] / 2 == max(map(cv2.contourArea, contours))


def rectangle(shape, box):
    """A map that shows a box."""
    values = np.zeros(shape, np.float32)
    values[box[1]:box[3], box[0]:box[2]] = 1
    return values


def test_a_perfect_box_does_not_score_1(batch, metric):
    """Boxes of contours are taken for inclusive corners, though x + w is one too far: 360 / (19 * 21)."""
    box = (30, 20, 48, 40)  # 18 x 20
    samples = batch([rectangle((64, 64), box)], boxes=[[box]])
    rows = {name: metric("max-box-acc", convention=name).measure(samples).dense("box")[0] for name in ("v1", "wsol")}
    assert rows["v1"].max() == 1
    assert rows["wsol"].max() == 360 / 399
    assert round(rows["wsol"].max(), 3) == 0.902


def test_a_long_line_loses_against_a_small_blob(batch, metric):
    """A line of 190 pixels is the largest component, but its outline has no area: wsol takes the 3 x 3 blob."""
    values = np.zeros((224, 224), np.float32)
    values[100, 10:200] = 1
    values[20:23, 60:63] = 1
    line, blob = (10, 100, 200, 101), (60, 20, 63, 23)
    samples = batch([values, values], boxes=[[line], [blob]])
    sizes = metric("max-box-acc").measure(samples).dense("box")
    published_boxes = metric("max-box-acc", convention="wsol").measure(samples).dense("box")
    assert sizes[:, 50].tolist() == [1, 0]
    assert published_boxes[:, 50].tolist() == [0, 9 / 16]  # 3 x 3 of 4 x 4


def test_the_conventions_differ(batch, values):
    """On maps that show the box as a network would, blurred, wsol and v1 do not give the same number."""
    rng = np.random.default_rng(5)
    maps, boxes = [], []
    for _ in range(60):
        (box,) = make_boxes(rng, (60, 60), 1)
        noise = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 3)
        maps.append(ndimage.gaussian_filter(rectangle((60, 60), box), 3) + 1.5 * noise)
        boxes.append([box])
    samples = batch(maps, boxes=boxes)
    found = {name: values(samples, "max-box-acc", convention=name) for name in ("v1", "wsol")}
    assert found["v1"][".mean-iou"] != found["wsol"][".mean-iou"]
    assert abs(found["v1"][".mean-iou"] - found["wsol"][".mean-iou"]) < 0.1
