"""Could the anchors find the objects at all? Answered before any training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, DetectionTarget, Ragged, Samples, Scalar, Summary, Table, TaskMismatch
from harness_detection.anchors import Anchors, from_card
from harness_detection.boxes import iou_matrix
from harness_detection.objects import class_index, class_names, tiled
from harness_detection.params import AnchorCoverageParams
from harness_detection.specialization import names_of_levels


class AnchorCoverage:
    """Share of the objects whose best IoU with any anchor reaches a threshold, at the model's input size.

    It depends on dataset and anchors alone, which are taken from the model's card. Crowd regions do not count.
    Results:
        anchor-coverage                  all objects, any anchor
        anchor-coverage.circle           one class
        anchor-coverage.circle@56x56     one class, the anchors of one feature level alone
        anchor-coverage.mean-iou         mean of the best IoU
    """

    def __init__(self, params: AnchorCoverageParams) -> None:
        self.iou = params.iou

    def measure(self, samples: Samples) -> Table:
        """Columns for the objects of each image: best (M, L) IoU by level, label; and names of classes and levels.

        Raises TaskMismatch when the card has no anchors.
        """
        if "anchors" not in samples.card.details:
            raise TaskMismatch("anchor-coverage needs the model's anchors (details.anchors of its card), which this "
                               "model does not give; leave the metric out for it")
        if samples.fits is None:
            raise ValueError("samples without fits")
        anchors = from_card(samples.card.details, samples.card.input.size)
        best, label = [], []
        for target, fit in zip(samples.targets, samples.fits, strict=True):
            if not isinstance(target, DetectionTarget):
                raise TaskMismatch(f"anchor-coverage needs boxes as the truth, got {type(target).__name__}")
            best.append(best_by_level(fit.boxes_to_input(target.boxes[~target.crowd]), anchors))
            labels = np.array([class_index(name, samples.card) for name in target.labels], np.int64)
            label.append(labels[~target.crowd])
        count = len(samples.ids)
        return Table({"best": Ragged.of(best), "label": Ragged.of(label),
                      "classes": tiled(class_names(samples.card, {"mean-iou"}), count),
                      "levels": tiled(names_of_levels(samples.card), count)})

    def summarize(self, rows: Table) -> Summary:
        if not rows.rows:
            return Summary({"": Scalar(value=None, n=0)})
        best, label = rows.ragged("best").values, rows.ragged("label").values
        highest = best.max(axis=1)
        mean = Scalar(value=float(highest.mean()) if len(best) else None, n=len(best))
        scalars = {"": self._share(highest), ".mean-iou": mean}
        for index, name in enumerate(rows.dense("classes")[0]):
            own = best[label == index]
            scalars[f".{name}"] = self._share(own.max(axis=1))
            for column, level in enumerate(rows.dense("levels")[0]):
                scalars[f".{name}@{level}"] = self._share(own[:, column], detail=True)
        return Summary(scalars, {"": _curve(highest)} if len(best) else {})

    def _share(self, overlaps: NDArray[np.float64], *, detail: bool = False) -> Scalar:
        value = float((overlaps >= self.iou).mean()) if len(overlaps) else None
        return Scalar(value=value, n=len(overlaps), proportion=True, detail=detail)


def best_by_level(boxes: NDArray[np.float32], anchors: Anchors) -> NDArray[np.float64]:
    """(M, 4) boxes in input pixels -> (M, L) highest IoU with an anchor of each level."""
    overlaps = iou_matrix(boxes.astype(np.float64), anchors.boxes.astype(np.float64))
    starts = np.flatnonzero(np.diff(anchors.level, prepend=-1))
    return np.asarray(np.maximum.reduceat(overlaps, starts, axis=1), np.float64)


def _curve(highest: NDArray[np.float64]) -> Curve:
    x = np.linspace(0, 1, 101)
    y = 1 - np.searchsorted(np.sort(highest), x, side="left") / len(highest)
    return Curve(x=x.tolist(), y=y.tolist(), x_label="IoU with the best anchor", y_label="share of objects")
