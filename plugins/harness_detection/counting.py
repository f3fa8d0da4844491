"""How much does a detector find? Says nothing of whether it is right."""

from __future__ import annotations

import numpy as np

from harness.api import Samples, Scalar, Summary, Table
from harness_detection.params import DetectionCountParams


class DetectionCount:
    """Detections of each image at or above a score, whatever the truth.

    Results: detection-count, their mean; detection-count.images, the share of images with at least one.
    """

    def __init__(self, params: DetectionCountParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Column: count (N,) int64."""
        scores = samples.predictions.ragged("scores")
        counts = [int((scores[row] >= self.params.score_threshold).sum()) for row in range(len(scores))]
        return Table({"count": np.array(counts, np.int64)})

    def summarize(self, rows: Table) -> Summary:
        counts, n = rows.dense("count"), rows.rows
        return Summary({
            "": Scalar(value=float(counts.mean()) if n else None, n=n, unit="per image"),
            ".images": Scalar(value=float((counts > 0).mean()) if n else None, n=n, proportion=True),
        })
