"""Metrics of the map as it is, without a threshold: pointing game, energy, MAE, rank accuracy, ROC area."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Table
from harness_saliency_metrics.judging import LEFT_OUT, Found, MeanScores
from harness_saliency_metrics.localization_params import (
    EnergyParams,
    MaeParams,
    PointingParams,
    RankAccuracyParams,
)
from harness_saliency_metrics.params import Kind, RegionParams
from harness_saliency_metrics.regions import Region

Floats = NDArray[np.float64]


class PointingGame(MeanScores):
    """Share of the maxima of a map that lie inside of the object (Zhang 2018), the union of all boxes.

    Only judged pixels can be maxima. With average = "classes" it is the mean over the classes explained.
    """

    def __init__(self, params: PointingParams) -> None:
        each = "" if params.average == "images" else ", mean over classes"
        super().__init__(params.suffixes, {"": 0.0}, "min-max", proportion=params.average == "images",
                         convention=f"{params.convention}, tolerance {params.tolerance:g} px{each}")
        self.params = params

    def measure(self, samples: Samples) -> Table:
        if samples.classes is None:
            raise ValueError("samples without the classes explained")
        return Table({**super().measure(samples), "class": samples.classes})

    def score(self, found: Found) -> Sequence[float]:
        judged = found.case.ranking.counts if found.region.ignore is None else found.case.ranking.sums(
            ~found.region.ignore)
        level = int(np.argmax(judged > 0))
        maxima = found.case.ranking.level_set(level)
        if found.region.ignore is not None:
            maxima = maxima & ~found.region.ignore
        hits = self._accepted(found.region)[maxima]
        return [float(hits.any() if self.params.convention == "any" else hits.mean())]

    def mean(self, rows: Table, kind: Kind, values: Floats) -> float:
        if self.params.average == "images":
            return float(values.mean())
        _, classes = np.unique(rows.dense("class")[rows.dense(f"{kind}.state") != LEFT_OUT], return_inverse=True)
        return float((np.bincount(classes, values) / np.bincount(classes)).mean())

    def _accepted(self, region: Region) -> NDArray[np.bool_]:
        """(h, w) pixels on which a maximum counts."""
        if not self.params.tolerance:
            return region.inside
        from scipy.ndimage import distance_transform_edt

        distance = np.asarray(distance_transform_edt(~region.inside))
        return region.inside | (distance < self.params.tolerance)


class EnergyPointingGame(MeanScores):
    """Share of the map's sum that lies inside of the object (Wang 2020), the union of all boxes.

    Its mask twin is also known as relevance mass accuracy (Arras 2022).
    """

    def __init__(self, params: EnergyParams) -> None:
        super().__init__(params.suffixes, {"": 0.0}, params.normalize, convention=params.normalize)

    def score(self, found: Found) -> Sequence[float]:
        inside, total = found.case.energy(found.region, self.normalize)
        return [inside / total if total else 0.0]


class MeanAbsoluteError(MeanScores):
    """Mean over the judged pixels of |S - M|, M 1 on the object and 0 elsewhere."""

    def __init__(self, params: MaeParams) -> None:
        super().__init__(params.suffixes, {"": 1.0}, params.normalize, higher_is_better=False,
                         convention=params.normalize)

    def score(self, found: Found) -> Sequence[float]:
        inside, total = found.case.energy(found.region, self.normalize)
        # Inside |S - 1| = 1 - S, elsewhere |S - 0| = S.
        return [(found.region.area - inside + total - inside) / found.region.judged]


class RankAccuracy(MeanScores):
    """Share of the k most salient judged pixels that lie inside of the object; equal values rank in raster order.

    area: relevance rank accuracy (Arras 2022), k the object's area; top-k: k as given; concept-influence: likewise,
    divided by the object's share of the judged pixels (Theiner 2022), 1 for a map that knows nothing.
    """

    def __init__(self, params: RankAccuracyParams) -> None:
        self.k = None if params.convention == "area" else params.k or 1000
        self.relative = params.convention == "concept-influence"
        convention = params.convention if self.k is None else f"{params.convention}, k = {self.k}"
        super().__init__(params.suffixes, {"": 0.0}, "min-max", convention=convention,
                         unit="ratio" if self.relative else "fraction")

    def score(self, found: Found) -> Sequence[float]:
        order, region = found.case.ranking.order, found.region
        if region.ignore is not None:
            order = order[~region.ignore.ravel()[order]]
        k = min(self.k or region.area, region.judged)
        share = float(np.count_nonzero(region.inside.ravel()[order[:k]])) / k
        return [share * region.judged / region.area if self.relative else share]


class AttributionAuc(MeanScores):
    """Area under the ROC curve of the map as a classifier of the judged pixels; a tie counts half.

    An image without background among the judged pixels is left out.
    """

    def __init__(self, params: RegionParams) -> None:
        super().__init__(params.suffixes, {"": 0.0}, "min-max", convention="ties half")

    def score(self, found: Found) -> Sequence[float]:
        inside, outside = found.case.found(found.region)
        if not outside[-1]:
            return [np.nan]
        before = np.concatenate([np.zeros(1, np.int64), inside[:-1]])
        steps = np.diff(outside, prepend=0)
        return [float(((inside + before) * steps).sum()) / (2 * float(inside[-1]) * float(outside[-1]))]
