"""The localization-recall-precision error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import Scalar, Summary, Table
from harness_saliency_metrics.judging import Found, Judged, RegionRows, left_out
from harness_saliency_metrics.localization_params import LrpParams
from harness_saliency_metrics.overlap import box_overlap, largest_overlap, overlap
from harness_saliency_metrics.thresholds import level_of

Floats = NDArray[np.float64]


class LrpError(RegionRows):
    """LRP (Oksuz 2018, equation 3) over all images, each component a detection of score 1.

    (sum over true positives of (1 - IoU) / (1 - tau) + FP + FN) / (TP + FP + FN), tau the smallest IoU of a true
    positive. An invalid map is one false positive and one false negative. Results: lrp-error.box, with its parts
    .localization (mean 1 - IoU of the true positives), .false-positives (1 - precision) and .false-negatives
    (1 - recall); likewise for the mask.
    """

    def __init__(self, params: LrpParams) -> None:
        super().__init__(params.suffixes, (0, 0, 1, 1), params.normalize)
        self.params = params
        self.convention = f"IoU >= {params.iou:g}, {params.objects}, {params.binarization}"

    def rows(self, found: Sequence[Found]) -> Floats:
        """(n, 4): sum of 1 - IoU, true positives, false positives, false negatives."""
        return np.stack([self._counts(self._ious(each)) for each in found])

    def summarize(self, rows: Table) -> Summary:
        scalars: dict[str, Scalar] = {}
        for kind, suffix in self.regions.items():
            judged = Judged.of(rows, kind)
            totals = judged.values.sum(axis=0) if len(judged.values) else np.zeros(4)
            for part, value in _parts(totals, self.params.iou).items():
                scalars[suffix + part] = Scalar(value=value, n=len(judged.values), n_invalid=judged.invalid,
                                                higher_is_better=False, convention=self.convention)
            scalars[f"{suffix}.left-out"] = left_out(judged)
        return Summary(scalars)

    def _ious(self, found: Found) -> Floats:
        """(detections, objects)."""
        level = level_of(found.case, self.params)
        objects = len(found.region.boxes) if found.region.kind == "box" and self.params.objects == "all" else 1
        if level < 0:
            return np.zeros((0, objects))
        if self.params.objects == "best":
            largest = largest_overlap(found, level)
            return np.zeros((0, 1)) if largest is None else largest.iou[:, None]
        tree = found.case.tree_of(np.array([level]))
        nodes = tree.alive(level)
        if found.region.kind == "mask":
            return overlap(tree, nodes, found.region).iou[:, None]
        boxes = tree.boxes[nodes].astype(np.int64)
        return np.stack([box_overlap(boxes, box[None]).iou for box in found.region.boxes], axis=1)

    def _counts(self, ious: Floats) -> Floats:
        matched = _matched(ious, self.params.iou)
        return np.array([(1 - matched).sum(), len(matched), ious.shape[0] - len(matched),
                         ious.shape[1] - len(matched)])


def _matched(ious: Floats, least: float) -> Floats:
    """The IoUs of pairs: the highest one left, again and again, each detection and each object once."""
    left, found = ious.copy(), []
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] < least:
            break
        found.append(left[row, column])
        left[row], left[:, column] = -1, -1
    return np.array(found, np.float64)


def _parts(totals: Floats, tau: float) -> dict[str, float | None]:
    """Result suffix -> value of the summed rows; None without anything to divide by."""
    error, hits, extra, missed = map(float, totals)
    sums = {"": (error / (1 - tau) + extra + missed, hits + extra + missed), ".localization": (error, hits),
            ".false-positives": (extra, hits + extra), ".false-negatives": (missed, hits + missed)}
    return {part: above / below if below else None for part, (above, below) in sums.items()}
