"""Insertion, deletion and pixel flipping: areas under the curves of `ordering`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import DeletionParams, InsertionParams, PixelFlippingParams
from harness_saliency_metrics.ordering import Curves, Direction, curves
from harness_saliency_metrics.probabilities import original
from harness_saliency_metrics.summaries import INVALID, mean, mean_curve


class _Area:
    """Rows: value, the area under the curve by trapezoids over the share of pixels; curve (K + 1); share; invalid."""

    direction: Direction
    worst: float
    label: str

    def __init__(self, params: InsertionParams | DeletionParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        found = curves(samples, self.direction, self.params.baseline, self.params.steps)
        area: NDArray[np.float64] = np.asarray(np.trapezoid(found.target, found.share, axis=1))
        invalid = np.isnan(area)
        if self.params.relative:
            area = area / np.maximum(original(samples).target, np.finfo(np.float64).tiny)
        return Table({"value": np.where(invalid, self.worst, area), "curve": found.target,
                      "share": np.tile(found.share, (len(area), 1)), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        value = mean(rows, higher_is_better=self.direction == "insertion", convention=self.params.convention_text)
        return Summary({"": value}, _curve(rows, "share", self.label))


class Insertion(_Area):
    """The image appears pixel by pixel, the most salient first (Petsiuk 2018); the sooner it is recognized the better.

    Rows as for _Area. An invalid map scores 0.
    """

    direction, worst, label = "insertion", 0.0, "share of pixels inserted"


class Deletion(_Area):
    """The image disappears pixel by pixel, the most salient first (Petsiuk 2018); the sooner it is lost the better.

    Rows as for _Area. An invalid map scores 1.
    """

    direction, worst, label = "deletion", 1.0, "share of pixels deleted"


class PixelFlipping:
    """Mean probability after each step of deletion, the start left out (Bach 2015), over the number of pixels.

    Uses the forward passes of deletion where both have the same baseline and steps. An invalid map scores 1. Rows:
    value, curve (K + 1), pixels, invalid.
    """

    def __init__(self, params: PixelFlippingParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        found: Curves = curves(samples, "deletion", self.params.baseline, self.params.steps)
        value = found.target[:, 1:].mean(axis=1)
        invalid = np.isnan(value)
        return Table({"value": np.where(invalid, 1.0, value), "curve": found.target,
                      "pixels": np.tile(found.changed, (len(value), 1)), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        value = mean(rows, higher_is_better=False, convention=self.params.convention_text)
        return Summary({"": value}, _curve(rows, "pixels", "pixels flipped"))


def _curve(rows: Table, positions: str, label: str) -> dict[str, Curve]:
    y = mean_curve(rows, "curve")
    if not len(y):
        return {}
    x = rows.dense(positions)[0]
    return {"": Curve(x=x.tolist(), y=y.tolist(), x_label=label, y_label="probability of the class")}
