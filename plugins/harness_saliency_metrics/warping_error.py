"""Warping error: what is wrong with a map's topology."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from harness.api import Scalar, Summary, Table
from harness_saliency_metrics.cases import Case
from harness_saliency_metrics.judging import Found, Judged, MeanScores, left_out
from harness_saliency_metrics.localization_params import WarpingErrorParams
from harness_saliency_metrics.thresholds import level_of
from harness_saliency_metrics.topology import WORST, results, scores
from harness_saliency_metrics.warping import Warp, warp


class WarpingError(MeanScores):
    """Mismatches that remain, over all pixels, when the object's mask is warped toward the map's (Jain 2010).

    The map's mask is the largest 4-connected component of {S >= t}; for a box the object is the box's raster. Ignored
    pixels are no mismatches. Results for each region: topology.PARTS, the numbers of errors over valid maps only. An
    empty level set scores as an invalid map.
    """

    def __init__(self, params: WarpingErrorParams) -> None:
        super().__init__(params.suffixes, WORST, params.normalize, higher_is_better=False,
                         convention=params.convention_text)
        self.params = params

    def rows(self, found: Sequence[Found]) -> NDArray[np.float64]:
        warps = [warped_truth(each, self.params) for each in found]
        return np.array([list(WORST.values()) if each is None else scores(each) for each in warps])

    def summarize(self, rows: Table) -> Summary:
        scalars: dict[str, Scalar] = {}
        for kind, suffix in self.regions.items():
            judged = Judged.of(rows, kind)
            made = results(judged.values, partial(self.scalar, judged=judged))
            scalars.update({suffix + part: scalar for part, scalar in made.items()})
            scalars[f"{suffix}.left-out"] = left_out(judged)
        return Summary(scalars)


def warped_truth(found: Found, params: WarpingErrorParams) -> Warp | None:
    """The object's mask warped toward the map's, or with "reverse" the other way around; None for an empty level set.

    Of a reverse warp the target is binary, all of it equally far from the threshold.
    """
    prediction = found.samples.once(f"harness_saliency_metrics.prediction.{found.index}.{params.binarization}",
                                    lambda: _predicted(found.case, params))
    if prediction is None:
        return None
    inside, mask = found.region.inside, prediction.mask
    if found.region.ignore is not None:
        mask = np.where(found.region.ignore, inside, mask)
    if params.convention == "reverse":
        return warp(mask, inside, None, params.max_distance)
    return warp(inside, mask, prediction.distance, params.max_distance)


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of a mask that is not empty: 4-connected, most pixels, among equal ones the first in raster order."""
    labels, _ = label(mask)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax(), np.bool_)


class _Prediction(NamedTuple):
    """What a map says. mask: (h, w) bool; distance: (h, w) float64 of each pixel to the threshold."""

    mask: NDArray[np.bool_]
    distance: NDArray[np.float64]


def _predicted(case: Case, params: WarpingErrorParams) -> _Prediction | None:
    """None for an empty level set. Distances are those of the normalized map."""
    level = level_of(case, params)
    if level < 0:
        return None
    scaled = case.normalized(params.normalize)
    if scaled is None:
        raise ValueError("an invalid map has no threshold")
    exact = scaled.astype(np.float64)
    if params.threshold == "mean":
        threshold = float(exact.mean())
    else:
        threshold = (float(case.level_values(params.normalize)[level]) if params.threshold == "area"
                     else float(params.threshold))
    return _Prediction(largest_component(case.ranking.level_set(level)), np.abs(exact - threshold))
