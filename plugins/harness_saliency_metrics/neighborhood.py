"""What the eight neighbors of a pixel say about it, as tables over the 256 sets that they can form.

A set is a byte: bit k stands for the neighbor at RING[k].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RING = ((-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))
"""(dy, dx) of the neighbors: the four that share an edge clockwise from the top, then the corners likewise."""
_QUADS = ((0, 4, 1), (1, 5, 2), (2, 6, 3), (3, 7, 0))
"""The three other pixels of each 2x2 square that a pixel belongs to."""


def groups(connectivity: int) -> NDArray[np.int8]:
    """(256, 4) int8: one neighbor of each set of neighbors that are connected without the pixel itself, then -1.

    connectivity: 8, or 4, where corners connect but are not joined by the pixel.
    """
    table = np.full((256, 4), -1, np.int8)
    for byte in range(256):
        found = [min(joined) for group in _connected(_members(byte), connectivity)
                 if (joined := [k for k in group if connectivity == 8 or k < 4])]
        table[byte, : len(found)] = sorted(found)
    return _constant(table)


def ones() -> NDArray[np.int8]:
    """(256,) int8: what a pixel adds to the number of pixels."""
    return _constant(np.ones(256, np.int8))


def polygon_growth() -> NDArray[np.int8]:
    """(256,) int8: what a pixel adds to twice the area of the outline through the centers of an 8-connected region.

    The outline cuts corners: a 2x2 square with all four pixels counts 1, with three 1/2, with fewer nothing.
    """
    table = np.zeros(256, np.int8)
    for byte in range(256):
        members = set(_members(byte))
        table[byte] = sum(len(members.intersection(quad)) >= 2 for quad in _QUADS)
    return _constant(table)


def _members(byte: int) -> list[int]:
    return [k for k in range(8) if byte >> k & 1]


def _connected(members: list[int], connectivity: int) -> list[list[int]]:
    """The members in groups, first members first."""
    found: list[list[int]] = []
    left = list(members)
    while left:
        group = [left.pop(0)]
        for one in group:  # grows while it is read
            near = [other for other in left if _adjacent(RING[one], RING[other], connectivity)]
            left = [other for other in left if other not in near]
            group += near
        found.append(group)
    return found


def _adjacent(one: tuple[int, int], other: tuple[int, int], connectivity: int) -> bool:
    down, across = abs(one[0] - other[0]), abs(one[1] - other[1])
    return max(down, across) == 1 if connectivity == 8 else down + across == 1


def _constant(table: NDArray[np.int8]) -> NDArray[np.int8]:
    table.flags.writeable = False
    return table
