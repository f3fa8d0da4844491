"""Warping of one mask toward another without change of topology, and what then still differs (Jain 2010).

Masks are 4-connected in the foreground and 8-connected in the background, and lie in an infinite background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from harness_saliency_metrics.simple_points import bordered, flip, tables

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Warp:
    """source: (h, w) bool as given; warped: what it became; mismatches: where `warped` still is not the target."""

    source: Mask
    warped: Mask
    mismatches: Mask

    @property
    def error(self) -> float:
        """Warping error: remaining mismatches over all pixels, between 0 and the pixel error of the source."""
        return float(self.mismatches.mean())


def warp(source: Mask, target: Mask, distance: NDArray[Any] | None = None, max_distance: float | None = None) -> Warp:
    """Flip simple points of `source` toward `target`, pass after pass over the mismatches, until no flip helps.

    source, target: (h, w) bool, h and w at least 1; distance: (h, w) >= 0, in each pass the largest goes first, among
    equal ones column by column, each from its top; by default all are equal. max_distance: only pixels whose center is
    at most so many pixels from the nearest pixel center on the other side of the source's boundary may flip; by default
    all may. Deterministic; float32 decides what is equal, as in Fiji's Trainable Weka Segmentation.
    Raises ValueError when the shapes differ.
    """
    if source.shape != target.shape or (distance is not None and distance.shape != source.shape):
        raise ValueError(f"masks of shapes {source.shape} and {target.shape} can not be compared")
    movable = source != target
    if max_distance is not None:
        movable &= _boundary_distance(source) <= max_distance
    pixels = bordered(source)
    flip(pixels.reshape(-1), _order(movable, distance), tables().simple, pixels.shape[1])
    warped = pixels[1:-1, 1:-1] != 0
    return Warp(source, warped, warped != target)


def _order(points: Mask, distance: NDArray[Any] | None) -> NDArray[np.int64]:
    """Flat indices, in an array with a border of one pixel, of the points in the order of a pass."""
    rows, columns = np.unravel_index(np.flatnonzero(points.T.ravel()), points.shape[::-1])[::-1]
    order: NDArray[np.int64] = (rows + 1) * (points.shape[1] + 2) + columns + 1
    if distance is not None:
        order = order[np.argsort(-np.asarray(distance[rows, columns], np.float32), kind="stable")]
    return order


def _boundary_distance(mask: Mask) -> NDArray[np.float64]:
    """Of each pixel center to the nearest pixel center of the other value; what surrounds the image is background."""
    inside = np.pad(mask, 1)
    outside = distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
    return np.where(mask, distance_transform_edt(inside)[1:-1, 1:-1], outside)
