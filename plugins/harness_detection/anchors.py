"""Anchors: the boxes that the detector refines, the same for every image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness_detection.params import Level


class Anchors(NamedTuple):
    """boxes: (A, 4) float32 edges in input pixels, not clipped; level: (A,) int64.

    Levels fine to coarse, locations row by row, at each location scale by scale and ratio by ratio.
    """

    boxes: NDArray[np.float32]
    level: NDArray[np.int64]


def make_anchors(size: tuple[int, int], levels: Sequence[Level], aspect_ratios: Sequence[float]) -> Anchors:
    """size: [height, width] of the input; anchors are centered in the cells of each level's feature map."""
    parts = [_level(size, level, aspect_ratios) for level in levels]
    counts = [len(part) for part in parts]
    return Anchors(np.concatenate(parts).astype(np.float32), np.repeat(np.arange(len(levels)), counts))


def describe(levels: Sequence[Level], aspect_ratios: Sequence[float]) -> dict[str, Any]:
    """What a model card says of the anchors; `from_card` reads it."""
    return {"levels": [level.model_dump(mode="json") for level in levels], "aspect_ratios": list(aspect_ratios)}


def from_card(details: Mapping[str, Any], size: tuple[int, int]) -> Anchors:
    """The anchors of a card; raises KeyError when it has none."""
    facts = details["anchors"]
    return make_anchors(size, [Level.model_validate(each) for each in facts["levels"]], facts["aspect_ratios"])


def level_names(levels: Sequence[Level], size: tuple[int, int]) -> tuple[str, ...]:
    """56x56, 28x28, ...: height before width."""
    return tuple(f"{size[0] // level.stride}x{size[1] // level.stride}" for level in levels)


def _level(size: tuple[int, int], level: Level, aspect_ratios: Sequence[float]) -> NDArray[np.float64]:
    rows, columns = ((np.arange(length // level.stride) + 0.5) * level.stride for length in size)
    roots = np.sqrt(np.asarray(aspect_ratios, np.float64))
    scales = np.asarray(level.scales, np.float64)
    half = np.stack([np.outer(scales, roots), np.outer(scales, 1 / roots)], axis=-1).reshape(-1, 2) / 2
    centers = np.stack(np.meshgrid(columns, rows), axis=-1)[:, :, None]
    return np.concatenate([centers - half, centers + half], axis=-1).reshape(-1, 4)
