"""Simple points in two dimensions: pixels that can change sides without any change of topology.

Foreground is 4-connected, background 8-connected. A pixel is simple when its eight neighbors hold exactly one
4-component of foreground that touches it by an edge, and exactly one 8-component of background (Bertrand & Malandain
1994, topological numbers T = T' = 1); its own value does not matter.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness_saliency_metrics.compiled import compiled

_RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The eight neighbors in cyclic order as (row, column); those at odd positions share an edge with the center."""


class Tables(NamedTuple):
    """By the code of a 3x3 neighborhood: bit 3 * row + column is set where the pixel is foreground.

    simple: (512,) bool; foreground, background: (512,) uint8, the topological numbers T and T'.
    """

    simple: NDArray[np.bool_]
    foreground: NDArray[np.uint8]
    background: NDArray[np.uint8]


@cache
def tables() -> Tables:
    """The three lookup tables, computed once."""
    foreground = np.array([_edge_arcs(_ring(code)) for code in range(512)], np.uint8)
    background = np.array([_arcs([not value for value in _ring(code)]) for code in range(512)], np.uint8)
    return Tables((foreground == 1) & (background == 1), foreground, background)


def _ring(code: int) -> list[bool]:
    return [bool(code >> (3 * (row + 1) + column + 1) & 1) for row, column in _RING]


def _edge_arcs(ring: list[bool]) -> int:
    """4-components of the foreground ring that share an edge with the center: neighbors on the ring share edges."""
    edges = sum(ring[i] for i in range(1, 8, 2))
    joined = sum(ring[i] and ring[(i + 1) % 8] and ring[(i + 2) % 8] for i in range(1, 8, 2))
    return 1 if joined == 4 else edges - joined


def _arcs(ring: list[bool]) -> int:
    """8-components of the background ring: edge neighbors also touch across the corner between them."""
    edges = sum(ring[i] for i in range(1, 8, 2))
    joined = sum(ring[i] and ring[(i + 2) % 8] for i in range(1, 8, 2))
    alone = sum(ring[i] and not ring[i - 1] and not ring[(i + 1) % 8] for i in range(0, 8, 2))
    return 1 if joined == 4 else edges - joined + alone


@compiled
def neighborhood(pixels: NDArray[np.uint8], at: int, width: int) -> int:
    """The code of the 3x3 neighborhood of flat index `at`; pixels: flat 0 and 1, `width` columns."""
    up, down = at - width, at + width
    code: int = (pixels[up - 1] | pixels[up] << 1 | pixels[up + 1] << 2
                 | pixels[at - 1] << 3 | pixels[at] << 4 | pixels[at + 1] << 5
                 | pixels[down - 1] << 6 | pixels[down] << 7 | pixels[down + 1] << 8)
    return code


@compiled
def codes(pixels: NDArray[np.uint8], points: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """(M,) codes of the neighborhoods of the flat indices `points`."""
    result = np.empty(len(points), np.int64)
    for index in range(len(points)):
        result[index] = neighborhood(pixels, points[index], width)
    return result


@compiled
def flip(pixels: NDArray[np.uint8], order: NDArray[np.int64], simple: NDArray[np.bool_], width: int) -> None:
    """Flip simple points among `order`, pass after pass over the remaining ones, until a pass flips none; in place.

    pixels: flat 0 and 1 of a mask with a border that is not in `order`; order: distinct flat indices.
    A pass looks only at points with a neighbor that flipped since they were last looked at: the others are as they
    were, not simple. So the result is that of complete passes, and the time grows with the flips, not with the passes.
    """
    rank = np.full(len(pixels), -1, np.int64)
    for position in range(len(order)):
        rank[order[position]] = position
    due = np.ones(len(order), np.bool_)
    start, end = 0, len(order)
    while start < end:
        again_start, again_end = len(order), 0
        position = start
        while position < end:
            at = order[position]
            if due[position]:
                due[position] = False
                if simple[neighborhood(pixels, at, width)]:
                    pixels[at] = 1 - pixels[at]
                    rank[at] = -1
                    for row in (-width, 0, width):
                        for column in (-1, 0, 1):
                            other = rank[at + row + column]
                            if other >= 0:
                                due[other] = True
                                if other > position:
                                    end = max(end, other + 1)
                                else:
                                    again_start, again_end = min(again_start, other), max(again_end, other + 1)
            position += 1
        start, end = again_start, again_end


def bordered(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w) -> (h + 2, w + 2) uint8, 0 and 1, with a border of background."""
    return np.pad(np.asarray(mask, np.uint8), 1)
