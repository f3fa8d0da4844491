"""Every threshold of a map at once: the tree of the components of {S >= t} for each distinct value t of S.

A component tree (Salembier 1998) by union-find over the sorted pixels (Najman 2006). One pass gives the area, the box
and the overlap with the object of every component at every threshold, exactly; the metrics look up what they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness_saliency_metrics import neighborhood
from harness_saliency_metrics.sweep import (
    NODE_FIRST,
    NODE_INSIDE,
    NODE_JUDGED,
    NODE_SIZE,
    START,
    STOP,
    best_where_alive,
    in_raster_order,
    rank,
    sweep,
)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Connectivity = Literal[4, 8]


@dataclass(frozen=True)
class Ranking:
    """The pixels of a map in descending order.

    shape: (h, w); order: (n,) int32 raster indices, equal values in raster order; values: (L,) float32 distinct values,
    descending; counts: (L,) int32, the number of pixels that are not below each value: the level set l is
    order[:counts[l]].
    """

    shape: tuple[int, int]
    order: Ints
    values: NDArray[np.float32]
    counts: Ints

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Ranking:
        """values: (h, w) finite float32. Raises ValueError for a side of more than 65,535 pixels."""
        if max(values.shape) > np.iinfo(np.uint16).max:
            raise ValueError(f"a map of {values.shape[0]} x {values.shape[1]}: at most 65535 pixels on each side")
        flat = np.ascontiguousarray(values, np.float32).ravel()
        order, counts, distinct = rank(flat)
        return cls((values.shape[0], values.shape[1]), order, distinct, counts)

    def sums(self, pixels: Bools) -> NDArray[np.int64]:
        """(h, w) bool -> (L,) how many of these pixels each level set holds."""
        return np.asarray(np.cumsum(pixels.ravel()[self.order], dtype=np.int64)[self.counts - 1])

    def level_set(self, level: int) -> Bools:
        """(h, w) bool: S >= values[level]; nothing for level -1."""
        pixels = np.zeros(self.shape[0] * self.shape[1], np.bool_)
        if level >= 0:
            pixels[self.order[: self.counts[level]]] = True
        return pixels.reshape(self.shape)


@dataclass(frozen=True)
class ThresholdTree:
    """All components of all level sets, or of some.

    levels: (C,) int64, ascending, of the ranking: those that are covered. A node is one component from the covered
    level where it comes to be, or changes, to the one where it changes again: start, stop: (K,) int32 positions in
    `levels`, stop exclusive; size: pixels; first: raster index of the first pixel; inside, judged: pixels of the object
    and of all that is judged; boxes: (K, 4) uint16 half-open x0, y0, x1, y1.
    largest: (C,) int32 the node of each level's largest component (equal sizes: the first in raster order).
    """

    ranking: Ranking
    levels: NDArray[np.int64]
    nodes: Ints
    boxes: NDArray[np.uint16]
    largest: Ints
    connectivity: Connectivity

    @classmethod
    def of(cls, ranking: Ranking, inside: Bools | None = None, ignore: Bools | None = None,
           connectivity: Connectivity = 8, levels: NDArray[np.int64] | None = None) -> ThresholdTree:
        """inside: (h, w) the object; ignore: (h, w) pixels that count neither as object nor as judged.

        levels: only these, in any order, which is faster than all; -1 is passed over.
        """
        covered = np.arange(len(ranking.counts)) if levels is None else np.unique(levels[levels >= 0])
        ends = ranking.counts[covered]
        order = ranking.order if levels is None else in_raster_order(ranking.order, ends)
        nodes, boxes, largest = sweep(order, ends, ranking.shape[1], _codes(ranking, inside, ignore),
                                      groups(connectivity), _ones(), 1, most_components(ranking.shape, connectivity))
        return cls(ranking, covered, nodes, boxes, largest, connectivity)

    @property
    def start(self) -> Ints:
        return self.nodes[:, START]

    @property
    def stop(self) -> Ints:
        return self.nodes[:, STOP]

    @property
    def size(self) -> Ints:
        return self.nodes[:, NODE_SIZE]

    @property
    def first(self) -> Ints:
        return self.nodes[:, NODE_FIRST]

    @property
    def inside(self) -> Ints:
        return self.nodes[:, NODE_INSIDE]

    @property
    def judged(self) -> Ints:
        return self.nodes[:, NODE_JUDGED]

    def covers(self, levels: NDArray[np.int64]) -> bool:
        """Whether the tree can be asked for these levels; it can for -1, the empty level set."""
        asked = levels[levels >= 0]
        at = np.minimum(np.searchsorted(self.levels, asked), len(self.levels) - 1)
        return bool((self.levels[at] == asked).all()) if len(self.levels) else not len(asked)

    def largest_at(self, levels: NDArray[np.int64]) -> Ints:
        """(G,) covered levels from 0 -> the nodes of their largest components."""
        return self.largest[np.searchsorted(self.levels, levels)]

    def alive(self, level: int) -> NDArray[np.int64]:
        """The nodes of all components of one covered level set; none for -1."""
        position = -1 if level < 0 else int(np.searchsorted(self.levels, level))
        return np.flatnonzero((self.start <= position) & (position < self.stop))

    def component(self, node: int) -> Bools:
        """(h, w) bool: the pixels of a node."""
        from scipy.ndimage import label

        x0, y0, x1, y1 = self.boxes[node]
        part = self.ranking.level_set(int(self.levels[self.start[node]]))[y0:y1, x0:x1]
        labels, _ = label(part, np.ones((3, 3)) if self.connectivity == 8 else None)
        row, column = divmod(int(self.first[node]), self.ranking.shape[1])
        pixels = np.zeros(self.ranking.shape, np.bool_)
        pixels[y0:y1, x0:x1] = labels == labels[row - y0, column - x0]
        return pixels

    def alive_at(self, levels: NDArray[np.int64]) -> Alive:
        """The nodes that are alive at any of these (G,) covered levels, in any order, -1 for an empty level set."""
        return Alive(self, np.where(levels < 0, -1, np.searchsorted(self.levels, levels)))


@dataclass(frozen=True)
class Alive:
    """The nodes that matter for some levels. positions: (G,) in the tree's levels."""

    tree: ThresholdTree
    positions: NDArray[np.int64]

    @cached_property
    def nodes(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._before[self.tree.stop] > self._before[self.tree.start])

    def best(self, scores: Floats) -> Floats:
        """A score for each of `nodes` -> (G,) the highest at each of the levels; 0 where there is no component."""
        nodes = self.nodes
        best = best_where_alive(self.tree.start[nodes], self.tree.stop[nodes], scores, self._before,
                                len(self.positions))
        found = np.empty(len(self.positions))
        found[np.argsort(self.positions, kind="stable")] = best
        return found

    @cached_property
    def _before(self) -> Ints:
        """(C + 1,) how many of the positions come before each."""
        ordered = np.sort(self.positions)
        return np.searchsorted(ordered, np.arange(len(self.tree.largest) + 1)).astype(np.int32)


def most_components(shape: tuple[int, int], connectivity: Connectivity) -> int:
    """A bound on the number of components that a sweep begins, united ones included."""
    height, width = shape
    if connectivity == 8:  # a component begins where no neighbor is in yet
        return -(-height // 2) * -(-width // 2)
    return -(-height * width // 2)


def _codes(ranking: Ranking, inside: Bools | None, ignore: Bools | None) -> NDArray[np.uint8]:
    codes = np.full(ranking.shape, 2, np.uint8)
    if inside is not None:
        codes += inside
    if ignore is not None:
        codes[ignore] = 0
    return codes.ravel()


@cache
def groups(connectivity: Connectivity) -> NDArray[np.int8]:
    """A table for `sweep`, made once."""
    return neighborhood.groups(connectivity)


@cache
def _ones() -> NDArray[np.int8]:
    return neighborhood.ones()
