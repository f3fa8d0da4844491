"""Overlaps of boxes, in numpy.

Boxes are half-open edges [x0, y0, x1, y1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def areas(boxes: Array) -> Array:
    """(N, 4) -> (N,); 0 for a box without extent."""
    return np.asarray(np.clip(boxes[:, 2] - boxes[:, 0], 0, None) * np.clip(boxes[:, 3] - boxes[:, 1], 0, None))


def intersections(first: Array, second: Array) -> Array:
    """(N, 4), (M, 4) -> (N, M) areas."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2))


def iou_matrix(first: Array, second: Array, crowd: NDArray[np.bool_] | None = None) -> Array:
    """(N, 4), (M, 4) -> (N, M) intersection over union; 0 where both are empty.

    crowd: (M,) regions whose overlap is intersection over the area of the first box (COCO).
    """
    common = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - common
    if crowd is not None:
        union = np.where(crowd[None], areas(first)[:, None], union)
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
