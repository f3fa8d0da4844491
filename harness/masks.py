"""Class maps: from logits at the model's size to the class of each native pixel, stored compressed.

A stored prediction has two columns: `mask`, ragged bytes, the zlib stream of the (H, W) little-endian int16 class
indices in raster order (-1 where the model saw nothing), and `size`, (N, 2) int32 [H, W]. Sizes may differ between
samples, and a map takes a hundredth of its pixels; dense logits are never kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.geometry import Fit
from harness.table import Column, Ragged, Table

ClassMap = NDArray[np.int16]
NONE = -1
"""The class of a pixel that the model did not see, e.g. outside of a center crop."""
_LEVEL = 1  # class maps compress well at any level, and this one takes 4 ms per million pixels


def pack_masks(maps: Sequence[ClassMap]) -> dict[str, Column]:
    """The columns `mask` and `size` of class maps (H, W)."""
    streams = [zlib.compress(np.ascontiguousarray(each, "<i2").tobytes(), _LEVEL) for each in maps]
    values = [np.frombuffer(stream, np.uint8) for stream in streams]
    return {"mask": Ragged.of(values), "size": np.array([each.shape for each in maps], np.int32)}


def unpack_mask(predictions: Table, row: int) -> ClassMap:
    """The (H, W) int16 class map of one sample."""
    height, width = predictions.dense("size")[row]
    content = zlib.decompress(predictions.ragged("mask")[row].tobytes())
    return np.frombuffer(content, "<i2").astype(np.int16).reshape(height, width)


def classes(logits: NDArray[Any]) -> ClassMap:
    """(C, h, w) logits -> (h, w) class of the highest logit, the first of equal ones; C = 1: where its sigmoid > .5."""
    best = logits[0] > 0 if len(logits) == 1 else logits.argmax(axis=0)
    return np.asarray(best, np.int16)


def native_classes(logits: NDArray[np.float32], fit: Fit, margin: int = 0) -> ClassMap:
    """(C, h, w) logits at the model's input size less `margin` on each side -> (H, W) class of each native pixel.

    Logits are interpolated bilinearly at the native pixel centers (align_corners = False), then the class is taken; so
    that boundaries are not as coarse as the model's input. NONE where the center lies outside of the output.
    """
    rows = _Axis.of(fit.native.height, logits.shape[1], fit.scale_y, fit.offset_y - margin)
    columns = _Axis.of(fit.native.width, logits.shape[2], fit.scale_x, fit.offset_x - margin)
    best = np.zeros(fit.native, np.int16)
    highest = np.full(fit.native, 0 if len(logits) == 1 else -np.inf, np.float32)
    for index, logit in enumerate(logits, start=int(len(logits) == 1)):  # class by class, to hold two maps at a time
        values = columns.sample(rows.sample(logit).T).T
        higher = values > highest
        best[higher], highest[higher] = index, values[higher]
    best[~(rows.inside[:, None] & columns.inside[None])] = NONE
    return best


class _Axis(NamedTuple):
    """Linear interpolation at the native pixel centers along one axis; share: of `upper`."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    share: NDArray[np.float32]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, count: int, length: int, scale: float, offset: float) -> _Axis:
        edges = (np.arange(count) + 0.5) * scale + offset
        centers = np.clip(edges - 0.5, 0, length - 1)
        lower = np.floor(centers).astype(np.int64)
        inside = (edges >= 0) & (edges <= length)
        return cls(lower, np.minimum(lower + 1, length - 1), (centers - lower).astype(np.float32), inside)

    def sample(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(length, ...) -> (count, ...)."""
        if not self.share.any():  # whole pixels: exact, and much faster
            return values[self.lower]
        share = self.share[:, None]
        return np.asarray(values[self.lower] * (1 - share) + values[self.upper] * share, np.float32)
