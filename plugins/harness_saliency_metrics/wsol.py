"""MaxBoxAcc bit for bit as its authors' program computes it (Choe 2020), without its hundred contour extractions.

The program scales a map to uint8 by truncation and, at each threshold, extracts contours with OpenCV: the outlines of
8-connected components and of their holes. v1 takes the box of the contour with the largest area, which is that of an
outermost component with its holes filled; so one sweep over the map with filled holes gives all thresholds. v2 takes
the boxes of all contours: those of the components, and those of their holes, which are the components of the
4-connected complement that do not touch the image's border, and whose outline lies one pixel further out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.api import Fit
from harness_saliency_metrics import neighborhood
from harness_saliency_metrics.sweep import fill_holes, sweep
from harness_saliency_metrics.threshold_tree import Ranking, ThresholdTree, groups, most_components

Floats = NDArray[np.float64]
Levels = NDArray[np.uint8]


def gray_levels(scaled: NDArray[np.float32]) -> Levels:
    """(h, w) float32 in [0, 1] -> uint8, by truncation."""
    return (scaled * np.float32(255)).astype(np.uint8)


def cuts(levels: Levels, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(G,) the gray level that a pixel must exceed at each threshold, a fraction of the highest."""
    return np.array([int(t * int(levels.max())) for t in thresholds], np.int64)


def largest_contour_iou(levels: Levels, truth: NDArray[np.int64], thresholds: NDArray[np.float64]) -> Floats:
    """(G,) IoU of the largest contour's box with the nearest of the (M, 4) inclusive boxes, at each threshold."""
    width = levels.shape[1]
    filled = fill_holes(np.ascontiguousarray(levels).ravel(), width).reshape(levels.shape)
    ranking = Ranking.of(filled.astype(np.float32))
    # Of equally large contours OpenCV lists the one that begins last in raster order first.
    _, boxes, largest = sweep(ranking.order, ranking.counts, width, np.zeros(levels.size, np.uint8), groups(8),
                              _polygon_growth(), -1, most_components(ranking.shape, 8))
    found = boxes[largest[_levels_above(ranking, cuts(levels, thresholds))]]
    return inclusive_iou(clipped(found, levels.shape), truth)


def any_contour_iou(levels: Levels, truth: NDArray[np.int64], thresholds: NDArray[np.float64]) -> Floats:
    """(G,) the highest IoU of any contour's box with any of the (M, 4) inclusive boxes, at each threshold."""
    above = cuts(levels, thresholds)
    outlines = ThresholdTree.of(Ranking.of(levels.astype(np.float32)))
    alive = outlines.alive_at(_levels_above(outlines.ranking, above))
    best = alive.best(inclusive_iou(clipped(outlines.boxes[alive.nodes], levels.shape), truth))
    complement = ThresholdTree.of(Ranking.of(-levels.astype(np.float32)), connectivity=4)
    # The complement of > c is <= c, which in the negated map is >= -c.
    behind = complement.alive_at(np.searchsorted(-complement.ranking.values, above, side="right") - 1)
    boxes = complement.boxes[behind.nodes].astype(np.int64) + np.array([-1, -1, 1, 1])
    inner = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2:] <= levels.shape[::-1]).all(axis=1)
    overlaps = np.zeros(len(boxes))
    overlaps[inner] = inclusive_iou(clipped(boxes[inner], levels.shape), truth)
    return np.maximum(best, behind.best(overlaps))


def clipped(boxes: NDArray[np.integer], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """(K, 4) half-open edges as the program takes them for inclusive corners: one too far, except at the border."""
    height, width = shape
    return np.minimum(boxes.astype(np.int64), (width, height, width - 1, height - 1))


def truth_boxes(native: NDArray[np.float32], fit: Fit) -> NDArray[np.int64]:
    """(M, 4) half-open edges in native pixels -> inclusive corners at the input's size, by truncation, inside of it."""
    corners = native.astype(np.float64) - np.array([0, 0, 1, 1])
    width, height = round(fit.native.width * fit.scale_x), round(fit.native.height * fit.scale_y)
    # The division comes last, as in the program: where it is exact the other order can fall short of an integer.
    scaled = corners * np.tile((width, height), 2) / np.tile((fit.native.width, fit.native.height), 2)
    placed = scaled + np.tile((fit.offset_x, fit.offset_y), 2)
    limit = np.tile((fit.size.width - 1, fit.size.height - 1), 2)
    return np.asarray(np.clip(placed, 0, limit), np.int64)


def inclusive_iou(boxes: NDArray[np.int64], truth: NDArray[np.int64]) -> Floats:
    """(K, 4), (M, 4) inclusive corners -> (K,) the highest IoU."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    common = np.maximum(0, high - low + 1).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2] + 1).prod(axis=1) for each in (boxes, truth)]
    return np.asarray((common / (areas[0][:, None] + areas[1][None] - common)).max(axis=1, initial=0), np.float64)


def _levels_above(ranking: Ranking, above: NDArray[np.int64]) -> NDArray[np.int64]:
    """The level set of the pixels that exceed each cut; there always is one, as no cut reaches the maximum."""
    return np.searchsorted(-ranking.values, -above, side="left") - 1


@cache
def _polygon_growth() -> NDArray[np.int8]:
    return neighborhood.polygon_growth()
