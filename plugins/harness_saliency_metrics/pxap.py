"""Pixel average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Scalar, Summary, Table
from harness_saliency_metrics.cases import GRID, levels_at
from harness_saliency_metrics.judging import Found, Judged, RegionRows, left_out
from harness_saliency_metrics.localization_params import PxapParams
from harness_saliency_metrics.regions import Region

Floats = NDArray[np.float64]


class PixelAveragePrecision(RegionRows):
    """PxAP (Choe 2020): area under the precision-recall curve of all pixels of all images, S >= t against the mask.

    sum over t, descending, of P(t) (R(t) - R(t before)), R before the first one 0. Ignored pixels are left out. The
    object of an invalid map counts as never found. Rows: object pixels at each threshold, other pixels at each
    threshold, all object pixels. Results: pxap, and the curve of precision over recall.
    """

    def __init__(self, params: PxapParams) -> None:
        self.thresholds = np.append(GRID, 1.0) if params.convention == "wsol" else GRID
        super().__init__({"mask": ""}, np.zeros(2 * len(self.thresholds) + 1), "min-max")
        self.convention = params.convention

    def rows(self, found: Sequence[Found]) -> Floats:
        return np.stack([self._counts(each) for each in found])

    def worst_row(self, region: Region) -> Floats:
        return np.append(self.worst[:-1], region.area)

    def summarize(self, rows: Table) -> Summary:
        judged = Judged.of(rows, "mask")
        totals = judged.values.sum(axis=0) if len(judged.values) else np.zeros(len(self.worst))
        right, wrong = np.split(totals[:-1], 2)
        predicted = right + wrong
        precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0)
        recall = right / totals[-1] if totals[-1] else np.zeros_like(right)
        steps = -np.diff(recall, append=0.0)
        value = float((precision * steps).sum()) if totals[-1] else None
        scalar = Scalar(value=value, n=len(judged.values), n_invalid=judged.invalid, convention=self.convention)
        curve = Curve(x=recall.tolist(), y=precision.tolist(), x_label="recall", y_label="precision")
        return Summary({"": scalar, ".left-out": left_out(judged)}, {"": curve} if totals[-1] else {})

    def _counts(self, found: Found) -> Floats:
        inside, outside = found.case.found(found.region)
        levels = levels_at(found.case.level_values(self.normalize), self.thresholds)
        return np.concatenate([inside[levels], outside[levels], inside[-1:]]).astype(np.float64)
