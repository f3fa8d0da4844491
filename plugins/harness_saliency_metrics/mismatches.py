"""What the mismatches that remain after warping would do to the topology: splits, merges, additions, deletions.

Each mismatch is judged by what flipping it alone would do to the warped mask. Flipping a pixel to foreground joins the
n objects it touches by an edge; of the k >= n pieces of them around it, the k - n joints beyond close a hole each.
Flipping it to background joins the m holes or outsides around it, and cuts the object into k - m + 1 pieces.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from harness_saliency_metrics.simple_points import bordered, codes, tables
from harness_saliency_metrics.warping import Warp

_EIGHT = np.ones((3, 3), np.bool_)


class Kind(IntEnum):
    """What is wrong with the target mask where it has this mismatch.

    MERGE: it joins objects; SPLIT: it cuts one apart; the others: it has an object or a hole too much or too few.
    DISPLACEMENT: nothing but the place of the boundary, farther away than `max_distance` allowed it to move.
    """

    MERGE = 1
    SPLIT = 2
    HOLE_ADDITION = 3
    HOLE_DELETION = 4
    OBJECT_ADDITION = 5
    OBJECT_DELETION = 6
    DISPLACEMENT = 7


_BACKGROUND = (Kind.MERGE, Kind.HOLE_ADDITION, Kind.DISPLACEMENT)


class Errors(NamedTuple):
    """kinds: (h, w) uint8, 0 where warped mask and target agree; pixels, clusters: (7,) int64 by Kind - 1.

    A cluster is what belongs to one error: connected mismatches of one kind and direction, 8-connected where they are a
    gap between objects or a hole to be (MERGE, HOLE_ADDITION, DISPLACEMENT), else 4-connected.
    """

    kinds: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    clusters: NDArray[np.int64]


def classify(warp: Warp) -> Errors:
    """The kind of every remaining mismatch of a warp, and how many there are."""
    rows, columns = np.nonzero(warp.mismatches)
    pixels = bordered(warp.warped)
    width = pixels.shape[1]
    points = (rows + 1) * width + columns + 1
    gained = ~warp.warped[rows, columns]
    kind = np.zeros(len(points), np.int64)
    for each, chosen in ((_gains, gained), (_losses, ~gained)):
        if chosen.any():
            kind[chosen] = each(pixels, points[chosen], codes(pixels.reshape(-1), points[chosen], width))
    kinds = np.zeros(warp.mismatches.shape, np.uint8)
    kinds[rows, columns] = kind
    return Errors(kinds, np.bincount(kind, minlength=len(Kind) + 1)[1:], _clusters(kinds, warp.warped))


def _gains(pixels: NDArray[np.uint8], points: NDArray[np.int64], neighborhoods: NDArray[np.int64]) -> NDArray[np.int64]:
    """The kind of each point if it becomes foreground."""
    width = pixels.shape[1]
    objects = label(pixels)[0].reshape(-1)
    touched = _distinct(objects[points[:, None] + np.array([-width, -1, 1, width])])
    pieces, outside = tables().foreground[neighborhoods], tables().background[neighborhoods]
    return np.select([touched == 0, touched > 1, pieces > touched, outside == 0],
                     [Kind.OBJECT_ADDITION, Kind.MERGE, Kind.HOLE_ADDITION, Kind.HOLE_DELETION], Kind.DISPLACEMENT)


def _losses(pixels: NDArray[np.uint8], points: NDArray[np.int64],
            neighborhoods: NDArray[np.int64]) -> NDArray[np.int64]:
    """The kind of each point if it becomes background."""
    width = pixels.shape[1]
    holes = label(pixels == 0, _EIGHT)[0].reshape(-1)
    ring = np.array([row + column for row in (-width, 0, width) for column in (-1, 0, 1) if row or column])
    touched = _distinct(holes[points[:, None] + ring])
    pieces = tables().foreground[neighborhoods]
    return np.select([pieces == 0, touched == 0, pieces > touched, touched > 1],
                     [Kind.OBJECT_DELETION, Kind.HOLE_ADDITION, Kind.SPLIT, Kind.HOLE_DELETION], Kind.DISPLACEMENT)


def _distinct(labels: NDArray[Any]) -> NDArray[np.int64]:
    """(M, K) labels -> (M,) number of different ones that are not 0."""
    ordered = np.sort(labels, axis=1)
    new = np.diff(ordered, axis=1, prepend=0) != 0
    return np.asarray(new.sum(axis=1), np.int64)


def _clusters(kinds: NDArray[np.uint8], warped: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts = np.zeros(len(Kind), np.int64)
    directed = kinds + len(Kind) * (warped & (kinds > 0)).astype(np.uint8)  # one number for each kind and direction
    for index, area in enumerate(find_objects(directed)):
        if area is not None:
            kind = index % len(Kind) + 1
            structure = _EIGHT if kind in _BACKGROUND else None
            counts[kind - 1] += label(directed[area] == index + 1, structure)[1]
    return counts
