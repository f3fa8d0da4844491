"""Noisy linear imputation of removed pixels (Rong 2022, section 4.2), without the noise."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]
_EDGE, _CORNER = 1 / 6, 1 / 12
_NEIGHBORS = tuple((row, column, _CORNER if row and column else _EDGE)
                   for row in (-1, 0, 1) for column in (-1, 0, 1) if row or column)
_LEAF = 16


def impute(planes: NDArray[Any], removed: NDArray[np.bool_]) -> Floats:
    """Each removed pixel becomes the weighted mean of its neighbors, removed ones included: a linear system.

    planes: (C, h, w); removed: (h, w) bool, not all of it. Neighbors across an edge weigh 1/6, across a corner 1/12;
    those beyond the border are left out and the weights scaled up. Returns (C, h, w) float64, equal to `planes` where
    nothing is removed. Raises ValueError when every pixel is removed.
    """
    if removed.all():
        raise ValueError("every pixel is removed: there is nothing to impute from")
    result = np.array(planes, np.float64)
    height, width = removed.shape
    order = _dissection(height, width)
    points = order[removed.reshape(-1)[order]]
    if len(points):
        matrix, known = _system(result, removed, points)
        # Symmetric and diagonally dominant: no pivoting, and the order of elimination is chosen in advance.
        factors = splu(matrix, permc_spec="NATURAL", diag_pivot_thresh=0, options={"SymmetricMode": True})
        result.reshape(len(result), -1)[:, points] = factors.solve(known).T
    return result


def _system(planes: Floats, removed: NDArray[np.bool_], points: NDArray[np.int64]) -> tuple[csc_matrix, Floats]:
    """The matrix over the removed pixels, in the order of `points`, and the (n, C) known part of their means."""
    channels, height, width = planes.shape
    stride = width + 2
    at = (points // width + 1) * stride + points % width + 1
    number = np.full((height + 2) * stride, -1, np.int32)
    number[at] = np.arange(len(at))
    values = np.pad(np.where(removed, 0, planes), ((0, 0), (1, 1), (1, 1))).reshape(channels, -1)
    inside = np.pad(np.ones(removed.shape), 1).reshape(-1)
    columns, weights = np.empty((9, len(at)), np.int32), np.empty((9, len(at)))
    known, total = np.zeros((channels, len(at))), np.zeros(len(at))
    for index, (row, column, weight) in enumerate(_NEIGHBORS):
        other = at + row * stride + column
        columns[index], weights[index] = number[other], -weight
        known += weight * values[:, other]
        total += weight * inside[other]
    columns[8], weights[8] = number[at], total
    unknown = columns.T >= 0
    starts = np.append(0, np.cumsum(unknown.sum(axis=1)))
    matrix = csc_matrix((weights.T[unknown], columns.T[unknown], starts), shape=(len(at), len(at)))
    return matrix, known.T


@lru_cache(maxsize=4)
def _dissection(height: int, width: int) -> NDArray[np.int64]:
    """All pixels by nested dissection (George 1973): both halves before the line between them, so that eliminating one
    half fills nothing of the other.
    """
    parts: list[NDArray[np.int64]] = []

    def visit(pixels: NDArray[np.int64]) -> None:
        if pixels.size <= _LEAF:
            parts.append(pixels.reshape(-1))
            return
        long = pixels if pixels.shape[0] >= pixels.shape[1] else pixels.T
        middle = len(long) // 2
        visit(long[:middle])
        visit(long[middle + 1:])
        parts.append(long[middle].reshape(-1))

    visit(np.arange(height * width).reshape(height, width))
    return np.concatenate(parts)
