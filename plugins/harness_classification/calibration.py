"""Expected calibration error and the reliability curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Samples, Scalar, Summary, Table
from harness_classification.logits import at, class_indices, logits_of, softmax
from harness_classification.params import EceParams


class ExpectedCalibrationError:
    """Sum over bins of (share of the samples) * |accuracy - mean confidence|, the L1 form (Guo 2017, equation 3).

    Confidence is the top-1 probability; M equally wide bins, right-closed: ((m-1)/M, m/M]. Curve `reliability`: mean
    confidence against accuracy of each bin that is not empty. Rows: confidence (float64), correct (bool).
    """

    def __init__(self, params: EceParams) -> None:
        self.bins = params.bins

    def measure(self, samples: Samples) -> Table:
        logits = logits_of(samples)
        top = logits.argmax(axis=1)
        labels = class_indices(samples, logits.shape[1])
        return Table({"confidence": at(softmax(logits), top), "correct": top == labels})

    def summarize(self, rows: Table) -> Summary:
        convention = f"{self.bins}-equal-width-bins-l1"
        if not rows.rows:
            return Summary({"": Scalar(value=None, n=0, higher_is_better=False, convention=convention)})
        counts, confidence, accuracy = self._binned(rows.dense("confidence"), rows.dense("correct"))
        value = float((counts * np.abs(accuracy - confidence)).sum() / rows.rows)
        scalar = Scalar(value=value, n=rows.rows, higher_is_better=False, convention=convention)
        curve = Curve(x=confidence.tolist(), y=accuracy.tolist(), x_label="mean confidence", y_label="accuracy")
        return Summary({"": scalar}, {".reliability": curve})

    def _binned(self, confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
        """Samples, mean confidence and accuracy of the bins that are not empty."""
        inner = np.arange(1, self.bins) / self.bins
        bins = np.searchsorted(inner, confidence, side="left")
        counts = np.bincount(bins, minlength=self.bins)
        filled = counts > 0
        sums = (np.bincount(bins, weights, self.bins)[filled] for weights in (confidence, correct))
        return (counts[filled].astype(np.float64), *(total / counts[filled] for total in sums))
