"""Nested dissection of a grid: where elimination starts, and where it ends."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_LEAF = 16


class Parts(NamedTuple):
    """The parts of a grid, halves before wholes. areas, pivots: (P, 4) int64 [y0, y1, x0, x1), the part and the line
    that cuts it (all of a leaf); halves: (P, 2) int64 their numbers, -1 for none.
    """

    areas: Ints
    pivots: Ints
    halves: Ints


@lru_cache(maxsize=4)
def dissected(height: int, width: int) -> Parts:
    """All parts of a grid down to a few pixels."""
    found: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, int]]] = []

    def visit(y0: int, y1: int, x0: int, x1: int) -> int:
        if y0 >= y1 or x0 >= x1:
            return -1
        area = line = (y0, y1, x0, x1)
        halves = (-1, -1)
        if (y1 - y0) * (x1 - x0) > _LEAF:
            y, x = (y0 + y1) // 2, (x0 + x1) // 2
            if y1 - y0 >= x1 - x0:
                halves, line = (visit(y0, y, x0, x1), visit(y + 1, y1, x0, x1)), (y, y + 1, x0, x1)
            else:
                halves, line = (visit(y0, y1, x0, x), visit(y0, y1, x + 1, x1)), (y0, y1, x, x + 1)
        found.append((area, line, halves))
        return len(found) - 1

    visit(0, height, 0, width)
    areas, pivots, halves = (np.array(each, np.int64) for each in zip(*found, strict=True))
    return Parts(areas, pivots, halves)
