"""Overlap-tile inference (Ronneberger 2015, figure 2): images of any size through a fully convolutional graph.

An image no larger than the tile is run at once, mirrored up to an admitted size. A larger one is cut into tiles whose
outputs partition it; what a tile needs around its part, beyond the image's borders too, is mirrored. Tiles lie at
multiples of `step`, so that pooling falls on the same pixels as for the whole image: without padding the result equals
that of the whole image, with padding it does beyond the receptive radius from the borders of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.card import TileSpec
from harness.geometry import Size, mirrored_window

Floats = NDArray[np.float32]


class Tile(NamedTuple):
    """One piece. input: its window in image pixels (top, left, size), possibly beyond the borders; part: the rows and
    columns of the image that it decides; source: the same rows and columns in its output.
    """

    top: int
    left: int
    size: Size
    part: tuple[slice, slice]
    source: tuple[slice, slice]


def tiles(image: Size, spec: TileSpec) -> Iterator[Tile]:
    """The pieces of an image in raster order; their parts cover each pixel once."""
    rows = list(_axis(image.height, spec.size[0], spec))
    columns = list(_axis(image.width, spec.size[1], spec))
    for top, height, vertical, vertical_source in rows:
        for left, width, horizontal, horizontal_source in columns:
            yield Tile(top, left, Size(height, width), (vertical, horizontal), (vertical_source, horizontal_source))


def predict_tiles(image: NDArray[np.uint8], spec: TileSpec,
                  predict: Callable[[NDArray[np.uint8]], Floats]) -> Iterator[tuple[tuple[slice, slice], Floats]]:
    """(part, its (C, h, w) logits) for each piece of an image.

    image: (H, W, c) in the model's color order; predict: (1, h, w, c) uint8 -> (1, C, h', w').
    """
    for tile in tiles(Size(*image.shape[:2]), spec):
        logits = predict(mirrored_window(image, tile.top, tile.left, tile.size)[None])[0]
        yield tile.part, logits[:, tile.source[0], tile.source[1]]


def admitted(length: int, spec: TileSpec) -> int:
    """The smallest admitted length of an input whose output is at least `length` pixels."""
    needed = max(length + 2 * spec.margin, 2 * spec.margin + 1)
    return spec.remainder + spec.step * max(0, math.ceil((needed - spec.remainder) / spec.step))


def _axis(length: int, tile: int, spec: TileSpec) -> Iterator[tuple[int, int, slice, slice]]:
    """(start of the window, its length, part, source) along one axis."""
    whole = admitted(length, spec)
    if whole <= tile:
        yield -spec.margin, whole, slice(0, length), slice(0, length)
        return
    advance = (tile - 2 * spec.overlap) // spec.step * spec.step
    for start in range(0, length, advance):
        stop = min(start + advance, length)
        first = spec.overlap - spec.margin  # of the part within the output, which lacks the margin
        yield start - spec.overlap, tile, slice(start, stop), slice(first, first + stop - start)
