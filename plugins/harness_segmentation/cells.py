"""Generated cells: gray ellipses that touch, each with its number.

An image is a pure function of (seed, split, index): it depends neither on the number of images nor on their order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.api import GeneratedDataset, SegmentationTarget
from harness_segmentation.params import CELL_LABELS, CellsParams

Floats = NDArray[np.float64]
Numbers = NDArray[np.int32]

_SMALLEST = 40
"""Pixels that a cell keeps at least; a smaller remnant is taken away."""
_BLUR = 0.7
_EIGHT = np.ones((3, 3), bool)


class Cells(NamedTuple):
    """depth: (H, W) smallest normalized distance to a cell's center, 1 on its outline; owner: its number from 1."""

    depth: Floats
    owner: Numbers


class CellImages(GeneratedDataset[CellsParams]):
    """Dataset of cells; images (size, size, 1) uint8, class 1 inside of cells, at least a pixel between two of them."""

    def sample(self, index: int) -> tuple[NDArray[np.uint8], SegmentationTarget]:
        """(size, size, 1) uint8 image and its numbered cells; raises IndexError outside the dataset."""
        params, rng = self.params, self.generator(index)
        cells = place(params, rng)
        numbers = separate(cells.owner)
        background, contrast, noise = (rng.uniform(*r) for r in (params.background, params.contrast, params.noise))
        picture = background + contrast * brightness(cells, numbers, rng)
        picture = ndimage.gaussian_filter(picture, _BLUR) + noise * rng.standard_normal(picture.shape)
        image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)[:, :, None]
        mask = (numbers > 0).astype(np.int32)
        return image, SegmentationTarget(mask=mask, labels=CELL_LABELS, instances=numbers)


def place(params: CellsParams, rng: np.random.Generator) -> Cells:
    """Ellipses one after the other; one that would lie too much on earlier ones is left out."""
    size = params.size
    cells = Cells(np.full((size, size), np.inf), np.zeros((size, size), np.int32))
    attempts = round(rng.integers(*params.density, endpoint=True) * (size / 128) ** 2)
    for number in range(1, attempts + 1):
        center, axes, turn = rng.uniform(0, size, 2), rng.uniform(*params.radius, 2), rng.uniform(0, np.pi)
        reach = int(axes.max()) + 2
        rows, columns = (slice(max(0, int(c) - reach), min(size, int(c) + reach + 1)) for c in center)
        grid = np.ogrid[rows, columns]
        y, x = grid[0] - center[0], grid[1] - center[1]
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        distance = np.hypot(along / axes[0], across / axes[1])
        inside = distance <= 1
        depth, owner = cells.depth[rows, columns], cells.owner[rows, columns]
        if (inside & (owner > 0)).sum() > params.overlap * inside.sum():
            continue
        nearer = inside & (distance < depth)
        depth[nearer], owner[nearer] = distance[nearer], number
    return cells


def separate(owner: Numbers) -> Numbers:
    """Cells numbered from 1 without gaps in the numbers, each 4-connected, no two of them 8-adjacent.

    Of two adjacent pixels of different cells the one with the higher number becomes background.
    """
    numbered = np.where(owner > 0, owner, np.iinfo(np.int32).max)
    lowest = ndimage.minimum_filter(numbered, footprint=_EIGHT, mode="nearest")
    apart = np.where(lowest < owner, 0, owner)
    numbers = np.zeros_like(apart)
    for number in np.unique(apart[apart > 0]):
        parts, count = ndimage.label(apart == number)
        areas = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        if areas.max() >= _SMALLEST:
            numbers[parts == 1 + areas.argmax()] = numbers.max() + 1
    return numbers


def brightness(cells: Cells, numbers: Numbers, rng: np.random.Generator) -> Floats:
    """(H, W) shares of the contrast: 0 between cells, 0.75 to 1.25 by cell, less toward its outline, with texture."""
    levels = np.concatenate([[0.0], rng.uniform(0.75, 1.25, int(numbers.max(initial=0)))])
    shading = 1 - 0.25 * np.where(numbers > 0, np.minimum(cells.depth, 1), 0) ** 2
    texture = ndimage.gaussian_filter(rng.standard_normal(numbers.shape), 2.5)
    return np.asarray(levels[numbers] * shading + 0.3 * texture, np.float64)
