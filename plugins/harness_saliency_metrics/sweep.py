"""The inner loops of the threshold tree: sort the pixels, then add them one by one and follow the components.

All in one file: numba's cache notices changes of a function's own file only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness_saliency_metrics.compiled import compiled, inlined

Ints = NDArray[np.int32]

HALF, LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
# Columns of a component while the sweep runs.
SIZE, FIRST, X0, Y0, X1, Y1, INSIDE, JUDGED, NODE = range(9)
# Columns of a node.
START, STOP, NODE_SIZE, NODE_FIRST, NODE_INSIDE, NODE_JUDGED = range(6)


@compiled
def rank(values: NDArray[np.float32]) -> tuple[Ints, Ints, NDArray[np.float32]]:
    """(n,) finite values -> (n,) their indices in descending order, equal ones ascending; (L,) for each distinct value,
    descending, the number of values that are not below it; and (L,) the distinct values.
    """
    n = len(values)
    pairs = _sorted_pairs(values)
    order, ends, distinct = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32)
    levels = 0
    for j in range(n):
        order[j] = pairs[j] & LOW
        if j and pairs[j] >> HALF != pairs[j - 1] >> HALF:
            ends[levels] = j
            levels += 1
        distinct[levels] = values[order[j]]
    ends[levels] = n
    return order, ends[: levels + 1].copy(), distinct[: levels + 1].copy()


@compiled
def _sorted_pairs(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(key << 32 | index) of each value, sorted; keys ascend where values descend, and are equal where these are.

    A stable radix sort in three passes, which is ten times as fast as numpy's at 224x224.
    """
    n = len(values)
    bits = (values + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0
    pairs, other = np.empty(n, np.uint64), np.empty(n, np.uint64)
    counts = np.zeros((3, 2048), np.int32)
    for i in range(n):
        bit = bits[i]
        key = bit if bit >> 31 else ~bit & np.uint32(0x7FFFFFFF)
        pairs[i] = np.uint64(key) << HALF | np.uint64(i)
        counts[0, key & 2047] += 1
        counts[1, key >> 11 & 2047] += 1
        counts[2, key >> 22] += 1
    for digit in range(3):
        place, shift = 0, HALF + np.uint64(11 * digit)
        for k in range(2048):
            place, counts[digit, k] = place + counts[digit, k], place
        for j in range(n):
            pair = pairs[j]
            k = pair >> shift & np.uint64(2047)
            other[counts[digit, k]] = pair
            counts[digit, k] += 1
        pairs, other = other, pairs
    return pairs


@compiled
def in_raster_order(order: Ints, ends: Ints) -> Ints:
    """The order with the pixels of each level in raster order; those after the last level are left as they come.

    Where a level has many pixels the sweep is faster so: its next pixel lies near the last one.
    """
    part, places = np.full(len(order), -1, np.int32), np.empty(len(ends), np.int32)
    begin = 0
    for level in range(len(ends)):
        places[level] = begin
        for j in range(begin, ends[level]):
            part[order[j]] = level
        begin = ends[level]
    found = order.copy()
    for p in range(len(order)):
        level = part[p]
        if level >= 0:
            found[places[level]] = p
            places[level] += 1
    return found


@compiled
def sweep(order: Ints, ends: Ints, width: int, codes: NDArray[np.uint8], groups: NDArray[np.int8],
          growth: NDArray[np.int8], ties: int, most: int) -> tuple[Ints, NDArray[np.uint16], Ints]:
    """Add the pixels level by level and write down every component at every level where it changes.

    order, ends: of `rank`; codes: (n,) 1 for a pixel inside of the object, plus 2 for a judged one; groups, growth: of
    harness_saliency_metrics.neighborhood; ties: 1 for the first pixel in raster order to decide between equally large
    components, -1 for the last; most: bound on the components that can exist at once.
    A size is the sum of the growths, which must not be negative.
    Returns (K, 6) nodes, their (K, 4) half-open boxes x0, y0, x1, y1, and (L,) the largest component's node.
    """
    n, levels, stride = len(order), len(ends), width + 2
    labels = np.full((n // width + 2) * stride, -1, np.int32)  # with a border, so that no neighbor is out of bounds
    offsets = np.array([-stride, 1, stride, -1, 1 - stride, 1 + stride, stride - 1, -stride - 1])
    parents, parts, touched = np.empty(most, np.int32), np.empty((most, 9), np.int32), np.empty(most, np.int32)
    nodes, boxes, largest = np.empty((n, 6), np.int32), np.empty((n, 4), np.uint16), np.empty(levels, np.int32)
    count, used, best, begin = 0, 0, 0, 0
    for level in range(levels):
        changed = 0
        for i in range(begin, ends[level]):
            p = order[i]
            y = _row(p, width)
            x = p - y * width
            at = (y + 1) * stride + x + 1
            near = _neighbors(labels, at, stride)
            r = _united(parents, parts, nodes, level, labels, at, offsets, groups, near)
            if r < 0:
                r = count
                count += 1
                parents[r] = r
                _begin(parts, r, p, x, y)
                touched[changed] = r
                changed += 1
            else:
                if parts[r, NODE] >= 0:
                    _end(parts, r, nodes, level)
                    touched[changed] = r
                    changed += 1
                _grow(parts, r, p, x, y)
            labels[at] = r
            parts[r, SIZE] += growth[near]
            parts[r, INSIDE] += codes[p] & 1
            parts[r, JUDGED] += codes[p] >> 1
            if best != r and (parents[best] != best or _larger(parts, r, best, ties)):
                best = r
        begin = ends[level]
        if ties < 0:  # the first pixel may have moved forward without any growth
            best = _largest(parents, parts, count, ties)
        for j in range(changed):
            r = int(touched[j])
            if parents[r] == r:
                _write(parts, r, nodes, boxes, used, level, levels)
                used += 1
        largest[level] = parts[best, NODE]
    return nodes[:used], boxes[:used], largest


@inlined
def _row(p: int, width: int) -> Any:
    return np.int64(np.uint32(p) // np.uint32(width))  # the signed division is slower


@inlined
def _neighbors(labels: Ints, at: int, stride: int) -> Any:
    """The set of neighbors that are in: a label's sign bit is set where none is."""
    return (
        (1 + (labels[at - stride] >> 31))
        | (1 + (labels[at + 1] >> 31)) << 1
        | (1 + (labels[at + stride] >> 31)) << 2
        | (1 + (labels[at - 1] >> 31)) << 3
        | (1 + (labels[at - stride + 1] >> 31)) << 4
        | (1 + (labels[at + stride + 1] >> 31)) << 5
        | (1 + (labels[at + stride - 1] >> 31)) << 6
        | (1 + (labels[at - stride - 1] >> 31)) << 7
    )


@inlined
def _find(parents: Ints, label: int) -> int:
    """The root of a component, with path halving."""
    r = int(label)
    while parents[r] != r:
        parents[r] = parents[parents[r]]
        r = int(parents[r])
    return r


@inlined
def _united(parents: Ints, parts: Ints, nodes: Ints, level: int, labels: Ints, at: int, offsets: NDArray[np.int64],
            groups: NDArray[np.int8], near: int) -> int:
    """Unite the components of a set of neighbors of the pixel `at`; returns their root, -1 without any."""
    k = groups[near, 0]  # never a whole row: a view costs more than all the rest
    if k < 0:
        return -1
    r = _find(parents, labels[at + offsets[k]])
    for j in range(1, 4):
        k = groups[near, j]
        if k < 0:
            break
        q = _find(parents, labels[at + offsets[k]])
        if q != r:
            r = _join(parents, parts, nodes, level, r, q)
    return r


@inlined
def _begin(parts: Ints, r: int, p: int, x: int, y: int) -> None:
    parts[r, SIZE], parts[r, FIRST], parts[r, INSIDE], parts[r, JUDGED], parts[r, NODE] = 0, p, 0, 0, -1
    parts[r, X0], parts[r, Y0], parts[r, X1], parts[r, Y1] = x, y, x, y


@inlined
def _end(parts: Ints, r: int, nodes: Ints, level: int) -> None:
    """The component's node is no longer what it is."""
    nodes[parts[r, NODE], STOP] = level
    parts[r, NODE] = -1


@inlined
def _grow(parts: Ints, r: int, p: int, x: int, y: int) -> None:
    # Comparisons are nearly always false, and cheaper than stores.
    if p < parts[r, FIRST]:
        parts[r, FIRST] = p
    if x < parts[r, X0]:
        parts[r, X0] = x
    if y < parts[r, Y0]:
        parts[r, Y0] = y
    if x > parts[r, X1]:
        parts[r, X1] = x
    if y > parts[r, Y1]:
        parts[r, Y1] = y


@inlined
def _join(parents: Ints, parts: Ints, nodes: Ints, level: int, r: int, q: int) -> int:
    """Unite two components; returns the root of the union, which keeps its node."""
    if parts[q, SIZE] > parts[r, SIZE]:
        r, q = q, r
    if parts[q, NODE] >= 0:
        _end(parts, q, nodes, level)
    parents[q] = r
    parts[r, SIZE] += parts[q, SIZE]
    parts[r, INSIDE] += parts[q, INSIDE]
    parts[r, JUDGED] += parts[q, JUDGED]
    parts[r, FIRST] = min(parts[r, FIRST], parts[q, FIRST])
    parts[r, X0], parts[r, Y0] = min(parts[r, X0], parts[q, X0]), min(parts[r, Y0], parts[q, Y0])
    parts[r, X1], parts[r, Y1] = max(parts[r, X1], parts[q, X1]), max(parts[r, Y1], parts[q, Y1])
    return r


@inlined
def _larger(parts: Ints, one: int, other: int, ties: int) -> bool:
    if parts[one, SIZE] != parts[other, SIZE]:
        return bool(parts[one, SIZE] > parts[other, SIZE])
    return bool(ties * parts[one, FIRST] < ties * parts[other, FIRST])


@inlined
def _largest(parents: Ints, parts: Ints, count: int, ties: int) -> int:
    best = _find(parents, 0)
    for r in range(1, count):
        if parents[r] == r and _larger(parts, r, best, ties):
            best = r
    return best


@inlined
def _write(parts: Ints, r: int, nodes: Ints, boxes: NDArray[np.uint16], node: int, level: int, levels: int) -> None:
    parts[r, NODE] = node
    nodes[node, START], nodes[node, STOP] = level, levels
    nodes[node, NODE_SIZE], nodes[node, NODE_FIRST] = parts[r, SIZE], parts[r, FIRST]
    nodes[node, NODE_INSIDE], nodes[node, NODE_JUDGED] = parts[r, INSIDE], parts[r, JUDGED]
    boxes[node, 0], boxes[node, 1] = parts[r, X0], parts[r, Y0]
    boxes[node, 2], boxes[node, 3] = parts[r, X1] + 1, parts[r, Y1] + 1


@compiled
def best_where_alive(starts: Ints, stops: Ints, scores: NDArray[np.float64], positions: Ints,
                     count: int) -> NDArray[np.float64]:
    """(count,) the highest score of all nodes that are alive at each of `count` levels, ordered by level; 0 for none.

    starts, stops, scores: (K,) of the nodes; positions: (L + 1,) how many of the levels asked for come before each.
    """
    best = np.zeros(count)
    for k in range(len(scores)):
        for j in range(positions[starts[k]], positions[stops[k]]):
            if scores[k] > best[j]:
                best[j] = scores[k]
    return best


@compiled
def fill_holes(levels: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """(n,) gray levels -> (n,) the lowest level at which water from outside reaches each pixel over 4-neighbors.

    The pixels above t of the result are those above t of the input with the holes filled, for every t. A flood with
    one queue for each level, from the border inward.
    """
    n = len(levels)
    height = n // width
    filled, seen = levels.copy(), np.zeros(n, np.bool_)
    heads, following = np.full(256, -1, np.int32), np.empty(n, np.int32)
    for p in range(n):
        x = p % width
        if x in (0, width - 1) or p < width or p >= n - width:
            seen[p] = True
            following[p], heads[levels[p]] = heads[levels[p]], p
    level = 0
    while level < 256:
        p = heads[level]
        if p < 0:
            level += 1
            continue
        heads[level] = following[p]
        y, x = p // width, p % width
        for k in range(4):
            v, u = y + (k == 2) - (k == 0), x + (k == 1) - (k == 3)
            q = v * width + u
            if 0 <= v < height and 0 <= u < width and not seen[q]:
                seen[q] = True
                filled[q] = max(levels[q], level)
                following[q], heads[filled[q]] = heads[filled[q]], q
    return filled
