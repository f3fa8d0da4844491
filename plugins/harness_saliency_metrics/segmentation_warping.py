"""Warping error of a segmentation as it is."""

from __future__ import annotations

import numpy as np

from harness.api import Samples, Scalar, SegmentationTarget, Summary, Table, TaskMismatch, unpack_mask
from harness_saliency_metrics.localization_params import WarpParams
from harness_saliency_metrics.topology import PARTS, results, scores
from harness_saliency_metrics.warping import Warp, warp

_VALUES = "values"


class SegmentationWarpingError:
    """Mismatches that remain when the true mask is warped toward the predicted one (Jain 2010), in native pixels.

    Foreground is every class but the first one (the background). Pixels that are not judged are no mismatches.
    Predictions are stored as classes, all equally certain, so that a pass goes column by column. Results:
    topology.PARTS. Rows: values (W).
    """

    def __init__(self, params: WarpParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Raises TaskMismatch for targets of another task."""
        rows = [scores(self.warped(samples, index)) for index in range(len(samples.ids))]
        return Table({_VALUES: np.array(rows, np.float64).reshape(len(rows), len(PARTS))})

    def warped(self, samples: Samples, index: int) -> Warp:
        """Of one sample, for plots."""
        target = samples.targets[index]
        if not isinstance(target, SegmentationTarget):
            raise TaskMismatch(f"segmentation masks are judged for segmentation targets, got {type(target).__name__}")
        truth = target.mask > 0
        predicted = np.where(target.mask < 0, truth, unpack_mask(samples.predictions, index) > 0)
        source, toward = (truth, predicted) if self.params.convention == "forward" else (predicted, truth)
        return warp(source, toward, max_distance=self.params.max_distance)

    def summarize(self, rows: Table) -> Summary:
        values = rows.dense(_VALUES) if rows.rows else np.zeros((0, len(PARTS)))
        return Summary(results(values, lambda value: Scalar(
            value=value, n=len(values), higher_is_better=False, convention=self.params.convention_text)))
