"""Saliency maps brought to a common scale, and which of them say nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness_saliency_metrics.params import Normalization

Map = NDArray[np.float32]


def normalized(raw: Map, how: Normalization) -> Map | None:
    """(h, w) raw map -> (h, w) float32 in [0, 1]; None for an invalid one.

    min-max: (S - min) / (max - min); max: negative values become 0, then S / max; none: as it is. In float32, operation
    by operation as published implementations do it. A map is invalid when it has NaN or infinite values, is constant,
    or has nothing left ("max" without a positive value).
    """
    low, high = float(raw.min()), float(raw.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high or (how == "max" and high <= 0):
        return None
    if how == "none":
        return np.asarray(raw, np.float32)
    if how == "max":
        return np.asarray(np.maximum(raw, 0) / np.float32(high), np.float32)
    if high - low > float(np.finfo(np.float32).max):  # the difference would overflow
        raw, low, high = raw / np.float32(2), low / 2, high / 2
    shifted = raw - np.float32(low)
    return np.asarray(shifted / shifted.max(), np.float32)
