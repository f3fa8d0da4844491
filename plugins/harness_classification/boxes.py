"""Boxes of masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tight_box(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) bool -> (1, 4) float32 half-open edges [x0, y0, x1, y1), or (0, 4) for an empty mask."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not columns.size:
        return np.zeros((0, 4), np.float32)
    return np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
