"""Noisy linear imputation of removed pixels (Rong 2022, section 4.2), without the noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from harness_saliency_metrics.multifrontal import solve

Floats = NDArray[np.float64]


def impute(planes: NDArray[Any], removed: NDArray[np.bool_]) -> Floats:
    """Each removed pixel becomes the weighted mean of its neighbors, removed ones included: a linear system.

    planes: (C, h, w); removed: (h, w) bool, not all of it. Neighbors across an edge weigh 1/6, across a corner 1/12;
    those beyond the border are left out and the weights scaled up. Returns (C, h, w) float64, equal to `planes` where
    nothing is removed. Raises ValueError when every pixel is removed.
    """
    if removed.all():
        raise ValueError("every pixel is removed: there is nothing to impute from")
    result = np.array(planes, np.float64)
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    known = [convolve(np.where(removed, 0, plane), weights, mode="constant") for plane in result]
    total = convolve(np.ones(removed.shape), weights, mode="constant")
    result[:, removed] = solve(removed, np.stack(known, axis=-1), total, weights)[removed].T
    return result
