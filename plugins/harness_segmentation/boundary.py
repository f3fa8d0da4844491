"""Boundary F1: do the outlines lie where they should?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.api import Samples, Scalar, Summary, Table
from harness_segmentation.pairs import ClassMap, class_names, pairs
from harness_segmentation.params import BoundaryParams

Bools = NDArray[np.bool_]


class BoundaryF1:
    """Boundary F1 (Csurka 2013, section 2): harmonic mean of boundary precision and recall within a tolerance.

    A pixel of a class is on its boundary when one of its four neighbors is of another class; the image's border is no
    boundary, and neither is a border with ignored pixels. Precision is the share of predicted boundary pixels at most
    `tolerance` diagonals from a true one, recall the share of true ones as near to a predicted one.

    Results: boundary-f1, the mean over images (of the mean over the classes with a boundary in either), and
    boundary-f1.<class>. Without any boundary in both an image scores 1 for two classes, otherwise it is left out.
    """

    def __init__(self, params: BoundaryParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns: near_predicted, predicted, near_truth, truth (N, C) int64 boundary pixels, class (N, C) names."""
        names = class_names(samples)
        counts = np.stack([self._count(pair.truth, pair.predicted, len(names))
                           for pair in pairs(samples, self.params.ignore)])
        fields = ("near_predicted", "predicted", "near_truth", "truth")
        return Table({**{field: counts[:, :, index] for index, field in enumerate(fields)},
                      "class": np.tile(np.array(names), (len(counts), 1))})

    def summarize(self, rows: Table) -> Summary:
        names = rows.dense("class")[0] if rows.rows else np.empty(0, np.str_)
        predicted, truth = rows.dense("predicted"), rows.dense("truth")
        with np.errstate(invalid="ignore"):
            precision, recall = rows.dense("near_predicted") / predicted, rows.dense("near_truth") / truth
            f1 = 2 * precision * recall / (precision + recall)
        scores = np.where(np.isnan(f1), np.where(predicted + truth == 0, np.nan, 0.0), f1)
        if len(names) == 2:
            scores, names = np.nan_to_num(scores[:, 1:], nan=1.0), names[1:]
        present = ~np.isnan(scores)
        judged = present.any(axis=1)
        images = np.where(present, scores, 0).sum(axis=1)[judged] / present.sum(axis=1)[judged]
        scalars = {"": _scalar(images)}
        scalars |= {f".{name}": _scalar(scores[present[:, k], k]) for k, name in enumerate(names)}
        return Summary(scalars)

    def _count(self, truth: ClassMap, predicted: ClassMap, classes: int) -> NDArray[np.int64]:
        """(C, 4) counts of one image."""
        judged = truth >= 0
        tolerance = self.params.tolerance * math.hypot(*truth.shape)
        counts = np.zeros((classes, 4), np.int64)
        for index in range(classes):
            outlines = [boundary(each == index, judged) for each in (predicted, truth)]
            for column, (one, other) in enumerate((outlines, outlines[::-1])):
                counts[index, 2 * column : 2 * column + 2] = _near(one, other, tolerance).sum(), one.sum()
        return counts


def boundary(mask: Bools, judged: Bools) -> Bools:
    """(H, W): judged pixels of the mask that have a judged 4-neighbor outside of it."""
    outside = judged & ~mask
    return np.asarray(mask & judged & ndimage.binary_dilation(outside))


def _near(pixels: Bools, others: Bools, tolerance: float) -> Bools:
    if not (pixels.any() and others.any()):
        return np.zeros_like(pixels)
    return np.asarray(pixels & (ndimage.distance_transform_edt(~others) <= tolerance))


def _scalar(scores: NDArray[np.float64]) -> Scalar:
    return Scalar(value=float(scores.mean()) if len(scores) else None, n=len(scores), convention="csurka-2013")
