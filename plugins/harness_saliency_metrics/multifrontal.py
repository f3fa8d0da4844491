"""Direct solution of neighborhood equations on a grid: multifrontal Cholesky by nested dissection.

The grid is cut along lines, recursively (George 1973). From the leaves to the root each part gathers what is known of
its unknowns in a small dense matrix, its front: the equations of its own pixels, the pivots, and what its two halves
left over for their boundaries; eliminates the pivots; and leaves the rest, over the pixels around it, to the part above
(Duff & Reid 1983). The right sides are columns of the fronts, so that only the way back remains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness_saliency_metrics.compiled import compiled
from harness_saliency_metrics.dissection import dissected

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_SMALL = 4096  # multiplications for which a call of BLAS does not pay


def solve(unknown: NDArray[np.bool_], right: Floats, diagonal: Floats, weights: Floats) -> Floats:
    """x with diagonal * x - sum over unknown neighbors of weight * x = right, at every unknown pixel; 0 elsewhere.

    unknown: (h, w) bool; right: (h, w, C) float64; diagonal: (h, w) float64; weights: (3, 3) float64 of the neighbors,
    symmetric, the center unused. The matrix must be positive definite.
    """
    height, width = unknown.shape
    parts = dissected(height, width)
    flat = np.pad(unknown, 1).reshape(-1)
    sides = right.shape[2]
    padded = np.pad(right, ((1, 1), (1, 1), (0, 0))).reshape(-1, sides)
    steps = np.array([row * (width + 2) + column for row in (-1, 0, 1) for column in (-1, 0, 1)])
    own, starts, pixels = _fronts(flat, width + 2, parts.areas, parts.pivots, parts.halves)
    room = _rest_room(own, starts, parts.halves, sides)
    solution = _solve(np.pad(diagonal, 1).reshape(-1), padded, steps, weights.reshape(-1), parts.halves, own, starts,
                      pixels, room)
    return solution.reshape(height + 2, width + 2, sides)[1:-1, 1:-1]


@compiled
def _fronts(unknown: NDArray[np.bool_], stride: int, areas: Ints, pivots: Ints,
            halves: Ints) -> tuple[Ints, Ints, Ints]:
    """The pixels of each front, pivots first: own (P,) how many pivots, starts (P + 1,) into pixels."""
    count = len(areas)
    own, starts = np.zeros(count, np.int64), np.zeros(count + 1, np.int64)
    pixels = np.empty(_members(areas, pivots), np.int64)
    used = 0
    for part in range(count):
        y0, y1, x0, x1 = pivots[part]
        end = _collect(unknown, stride, y0, y1, x0, x1, pixels, used)
        own[part] = end - used
        left_over = end > used
        for half in halves[part]:
            left_over = left_over or (half >= 0 and starts[half + 1] - starts[half] > own[half])
        if left_over:
            y0, y1, x0, x1 = areas[part]
            end = _collect(unknown, stride, y0 - 1, y0, x0 - 1, x1 + 1, pixels, end)
            end = _collect(unknown, stride, y1, y1 + 1, x0 - 1, x1 + 1, pixels, end)
            end = _collect(unknown, stride, y0, y1, x0 - 1, x0, pixels, end)
            end = _collect(unknown, stride, y0, y1, x1, x1 + 1, pixels, end)
        used = starts[part + 1] = end
    return own, starts, pixels


@compiled
def _members(areas: Ints, pivots: Ints) -> int:
    """The most pixels that all fronts can have together."""
    total = 0
    for part in range(len(areas)):
        y0, y1, x0, x1 = areas[part]
        total += 2 * (y1 - y0 + x1 - x0 + 2) + (pivots[part, 1] - pivots[part, 0]) * (pivots[part, 3] - pivots[part, 2])
    return total


@compiled
def _collect(unknown: NDArray[np.bool_], stride: int, y0: int, y1: int, x0: int, x1: int, pixels: Ints,
             end: int) -> int:
    """Append the unknown pixels of an area; returns the new end."""
    for y in range(y0 + 1, y1 + 1):
        for at in range(y * stride + x0 + 1, y * stride + x1 + 1):
            if unknown[at]:
                pixels[end] = at
                end += 1
    return end


@compiled
def _rest_room(own: Ints, starts: Ints, halves: Ints, sides: int) -> int:
    """The most values that rests take at one time."""
    top, most = 0, 0
    for part in range(len(own)):
        for half in halves[part]:
            if half >= 0:
                left = starts[half + 1] - starts[half] - own[half]
                top -= left * (left + sides)
        left = starts[part + 1] - starts[part] - own[part]
        top += left * (left + sides)
        most = max(most, top)
    return most


@compiled
def _solve(diagonal: Floats, right: Floats, steps: Ints, weights: Floats, halves: Ints, own: Ints, starts: Ints,
           pixels: Ints, room: int) -> Floats:
    """Eliminate from the leaves to the root, then go back. room: for what parts leave over."""
    sides = right.shape[1]
    kept = np.zeros(len(own) + 1, np.int64)  # where the eliminated rows of each part begin
    largest = 0
    for part in range(len(own)):
        size = starts[part + 1] - starts[part]
        kept[part + 1] = kept[part] + own[part] * (size + sides)
        largest = max(largest, size)
    factors, rests, front = np.empty(kept[-1]), np.empty(room), np.empty(largest * (largest + sides))
    rest, top = np.zeros(len(own), np.int64), 0  # where what each part leaves over begins
    local = np.full(len(diagonal), -1, np.int64)
    for part in range(len(own)):
        members = pixels[starts[part]:starts[part + 1]]
        size = len(members)
        width = size + sides
        matrix = front[:size * width].reshape(size, width)
        for row in range(size):
            local[members[row]] = row
            for column in range(width):
                matrix[row, column] = 0
        _equations(matrix, members, own[part], local, diagonal, right, steps, weights)
        first = top
        for half in halves[part]:
            if half >= 0:
                _add(matrix, rests[rest[half]:], pixels[starts[half] + own[half]:starts[half + 1]], local)
                first = min(first, rest[half])
        for row in range(size):
            local[members[row]] = -1
        _eliminate(matrix, own[part])
        _copy(matrix, 0, own[part], 0, factors[kept[part]:])
        _copy(matrix, own[part], size, own[part], rests[first:])
        rest[part] = first
        top = first + (size - own[part]) * (width - own[part])
    return _back(factors, kept, own, starts, pixels, len(diagonal), sides)


@compiled
def _copy(matrix: Floats, start: int, end: int, first: int, into: Floats) -> None:
    """Rows from start to end, their columns from `first`, one after the other."""
    at = 0
    for row in range(start, end):
        for column in range(first, matrix.shape[1]):
            into[at] = matrix[row, column]
            at += 1


@compiled
def _equations(front: Floats, members: Ints, pivots: int, local: Ints, diagonal: Floats, right: Floats, steps: Ints,
               weights: Floats) -> None:
    """Add the equations of the pivots: the part above the diagonal, and the right sides."""
    size = len(members)
    for row in range(pivots):
        at = members[row]
        front[row, row] += diagonal[at]
        for side in range(right.shape[1]):
            front[row, size + side] += right[at, side]
        for index in range(9):
            column = local[at + steps[index]]
            if column > row:
                front[row, column] -= weights[index]


@compiled
def _add(front: Floats, rest: Floats, members: Ints, local: Ints) -> None:
    """Add what a half left over for `members`; local: their places in this front."""
    size, left = len(front), len(members)
    width = left + front.shape[1] - size
    for row in range(left):
        place = local[members[row]]
        for column in range(row, left):
            other = local[members[column]]
            front[min(place, other), max(place, other)] += rest[row * width + column]
        for column in range(left, width):
            front[place, size + column - left] += rest[row * width + column]


@compiled
def _eliminate(front: Floats, pivots: int) -> None:
    """Cholesky of the first rows, and their part in the others taken away; above the diagonal only."""
    size, width = front.shape
    for pivot in range(pivots):
        scale = 1 / np.sqrt(front[pivot, pivot])
        for column in range(pivot, width):
            front[pivot, column] *= scale
        for row in range(pivot + 1, pivots):
            _subtract(front, pivot, row, row)
    left = size - pivots
    if left * (left + 1) * pivots < _SMALL:
        for pivot in range(pivots):
            for row in range(pivots, size):
                _subtract(front, pivot, row, row)
    else:
        rows, columns = np.empty((pivots, width - pivots)), np.empty((left, pivots))
        for pivot in range(pivots):
            for column in range(pivots, width):
                rows[pivot, column - pivots] = front[pivot, column]
            for row in range(left):
                columns[row, pivot] = front[pivot, pivots + row]
        product = np.dot(columns, rows)
        for row in range(left):
            for column in range(row, width - pivots):
                front[pivots + row, pivots + column] -= product[row, column]


@compiled
def _subtract(front: Floats, pivot: int, row: int, first: int) -> None:
    factor = front[pivot, row]
    for column in range(first, front.shape[1]):
        front[row, column] -= factor * front[pivot, column]


@compiled
def _back(factors: Floats, kept: Ints, own: Ints, starts: Ints, pixels: Ints, count: int, sides: int) -> Floats:
    """From the root to the leaves: the boundary of each part is known when its pivots are solved for."""
    solution = np.zeros((count, sides))
    for part in range(len(own) - 1, -1, -1):
        members = pixels[starts[part]:starts[part + 1]]
        size = len(members)
        rows = factors[kept[part]:kept[part + 1]].reshape(own[part], size + sides)
        for row in range(own[part] - 1, -1, -1):
            for side in range(sides):
                value = rows[row, size + side]
                for column in range(row + 1, size):
                    value -= rows[row, column] * solution[members[column], side]
                solution[members[row], side] = value / rows[row, row]
    return solution
