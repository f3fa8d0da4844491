"""Warping error: what is wrong with a map's topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from harness.api import Scalar, Summary, Table
from harness_saliency_metrics.cases import Case
from harness_saliency_metrics.judging import Found, Judged, MeanScores
from harness_saliency_metrics.localization_params import WarpingErrorParams
from harness_saliency_metrics.mismatches import Kind, classify
from harness_saliency_metrics.thresholds import level_of
from harness_saliency_metrics.warping import Warp, warp

_COUNTS = {f"@{kind.name.lower().replace('_', '-')}s": kind for kind in Kind}


class WarpingError(MeanScores):
    """Mismatches that remain, over all pixels, when the object's mask is warped toward the map's (Jain 2010).

    The map's mask is the largest 4-connected component of {S >= t}; for a box the object is the box's raster. Ignored
    pixels are no mismatches. Results for each region: the error; .pixel-error, before warping; and the mean number of
    errors of each kind in an image (mismatches.Kind), @merges, @splits and so on, valid maps only. An empty level set
    scores as an invalid map.
    """

    def __init__(self, params: WarpingErrorParams) -> None:
        super().__init__(params.suffixes, {"": 1.0, ".pixel-error": 1.0, **dict.fromkeys(_COUNTS, np.nan)},
                         params.normalize, higher_is_better=False, convention=params.convention_text)
        self.params = params

    def score(self, found: Found) -> Sequence[float]:
        warped = warped_truth(found, self.params)
        if warped is None:
            return [1.0, 1.0, *[0.0] * len(_COUNTS)]
        before = float(np.mean(warped.source != (warped.warped ^ warped.mismatches)))
        return [warped.error, before, *map(float, classify(warped).clusters)]

    def summarize(self, rows: Table) -> Summary:
        summary = super().summarize(rows)
        scalars = dict(summary.scalars)
        for kind, suffix in self.regions.items():
            judged = Judged.of(rows, kind)
            valid = ~np.isnan(judged.values[:, -1]) if len(judged.values) else np.zeros(0, np.bool_)
            for column, part in enumerate(self.parts):
                if part in _COUNTS:
                    value = float(judged.values[valid, column].mean()) if valid.any() else None
                    scalars[suffix + part] = _errors(scalars[suffix + part], value, int(valid.sum()))
        return replace(summary, scalars=scalars)


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


def _errors(scalar: Scalar, value: float | None, count: int) -> Scalar:
    return replace(scalar, value=value, n=count, unit="errors", detail=True)
