"""One map and what it should show, with all that several metrics need of them, made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples
from harness_saliency_metrics.maps import Map, normalized
from harness_saliency_metrics.params import Kind, Normalization
from harness_saliency_metrics.regions import Region, Truth, truths
from harness_saliency_metrics.threshold_tree import Ranking, ThresholdTree

GRID = np.arange(100) / 100
"""The thresholds of statistics over a dataset: 0, .01, ..., .99 of the normalized map."""


@dataclass(frozen=True)
class Case:
    """raw: (h, w) float32 map; truth: of its image. What needs a ranking must not be asked of an invalid map."""

    raw: Map
    truth: Truth
    _maps: dict[Normalization, Map | None] = field(default_factory=dict, compare=False, repr=False)
    _sums: dict[Kind, tuple[NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=dict, compare=False,
                                                                        repr=False)

    def normalized(self, how: Normalization) -> Map | None:
        """The map in [0, 1]; None when it is invalid."""
        if how not in self._maps:
            self._maps[how] = normalized(self.raw, how)
        return self._maps[how]

    @cached_property
    def ranking(self) -> Ranking:
        return Ranking.of(self.raw)

    @cached_property
    def tree(self) -> ThresholdTree:
        """Of all levels, with the overlaps of the mask, where there is one."""
        return self._tree(None)

    def tree_of(self, levels: NDArray[np.int64]) -> ThresholdTree:
        """A tree that covers these levels: that of the usual ones, if it does, or that of all."""
        if "tree" not in vars(self) and self._usual.covers(levels):
            return self._usual
        return self.tree

    @cached_property
    def mean_level(self) -> int:
        """The level set of the pixels that are not below the mean, which is taken in float64."""
        return int(np.count_nonzero(self.ranking.values >= self.raw.mean(dtype=np.float64))) - 1

    @cached_property
    def _usual(self) -> ThresholdTree:
        """Of the grid and of the mean, which most metrics ask for."""
        return self._tree(np.append(self.grid_levels("min-max"), self.mean_level))

    def _tree(self, levels: NDArray[np.int64] | None) -> ThresholdTree:
        mask = self.truth.region("mask")
        return ThresholdTree.of(self.ranking, None if mask is None else mask.inside, self.truth.ignore, levels=levels)

    def level_values(self, how: Normalization) -> Map:
        """(L,) the distinct values after normalization, descending; equal ones where it rounds."""
        values = normalized(self.ranking.values, how)
        if values is None:
            raise ValueError("an invalid map has no levels")
        return values

    def grid_levels(self, how: Normalization) -> NDArray[np.int64]:
        """(100,) the level set of each threshold of the grid."""
        return levels_at(self.level_values(how), GRID)

    def energy(self, region: Region, how: Normalization) -> tuple[float, float]:
        """Sums in float64 of the normalized map: over the object's pixels, and over all judged ones."""
        scaled = self.normalized(how)
        if scaled is None:
            raise ValueError("an invalid map has no energy")
        judged = scaled if region.ignore is None else np.where(region.ignore, np.float32(0), scaled)
        return float((scaled * region.inside).sum(dtype=np.float64)), float(judged.sum(dtype=np.float64))

    def found(self, region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(L,) object pixels and other judged pixels in each level set."""
        if region.kind not in self._sums:
            inside = self.ranking.sums(region.inside)
            judged = self.ranking.counts if region.ignore is None else self.ranking.sums(~region.ignore)
            self._sums[region.kind] = (inside, judged - inside)
        return self._sums[region.kind]


def levels_at(values: Map, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """(L,) descending values -> for each threshold the last level whose value is not below it, -1 for none.

    Compared in float32, in which maps are: a value of 0.7 is at the threshold 0.7.
    """
    return np.searchsorted(-values, -thresholds.astype(np.float32), side="right") - 1


def cases(samples: Samples) -> Sequence[Case]:
    """One for each sample, the same for all metrics of a batch. Raises TaskMismatch for targets of another task."""
    return samples.once("harness_saliency_metrics.cases", lambda: _cases(samples))


def _cases(samples: Samples) -> list[Case]:
    if samples.saliency is None:
        raise ValueError("samples without saliency maps")
    maps = np.asarray(samples.saliency, np.float32)
    return [Case(raw, truth) for raw, truth in zip(maps, truths(samples), strict=True)]
