"""Does the height of a heatmap's peak tell how far off the keypoint is?"""

from __future__ import annotations

import numpy as np

from harness.api import Samples, Scalar, Summary, Table, TaskMismatch, rank_correlation
from harness_keypoints.distances import measure_distances
from harness_keypoints.params import PeakCalibrationParams


class PeakCalibration:
    """Spearman's rank correlation between peak height and pixel error over all visible keypoints, ties averaged.

    In [-1, 1]; -1 means that the peaks rank the errors perfectly. Not evaluable when either is constant.
    """

    def __init__(self, params: PeakCalibrationParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns: score, error (pixels) and visible, (N, K). Raises TaskMismatch when the model gives no scores."""
        if "scores" not in samples.predictions:
            raise TaskMismatch("peak-calibration needs the output scores, which this model does not give; "
                               "leave the metric out for it")
        distances = measure_distances(samples)
        return Table({"score": samples.predictions.dense("scores").astype(np.float64), "error": distances.error,
                      "visible": distances.visible})

    def summarize(self, rows: Table) -> Summary:
        visible = rows.dense("visible")
        invalid = int((~visible.any(axis=1)).sum())
        scores, errors = rows.dense("score")[visible], rows.dense("error")[visible]
        value = rank_correlation(scores, errors)
        return Summary({"": Scalar(value=value, n=len(scores), n_invalid=invalid, higher_is_better=False,
                                   unit="correlation")})
