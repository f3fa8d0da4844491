"""MaxBoxAcc and its mask twin: how many images are localized at the threshold that is best for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Scalar, Summary, Table
from harness_saliency_metrics.cases import GRID
from harness_saliency_metrics.judging import Found, Judged, RegionRows, left_out
from harness_saliency_metrics.localization_params import MaxBoxAccParams, MaxMaskAccParams
from harness_saliency_metrics.overlap import overlap
from harness_saliency_metrics.params import Kind

Floats = NDArray[np.float64]


class MaxAccuracy(RegionRows):
    """Share of images whose IoU reaches a value, at the threshold 0, .01, ..., .99 where most do (Choe 2020).

    Rows: the IoU at each threshold (N, 100), or with per-image the highest of all thresholds (N, 1). Results, x the
    metric's name: x, the mean over the IoUs asked for; x@0.5, one of them, and x.threshold@0.5, where it is reached (of
    equally good ones the lowest); x.mean-iou, the highest mean IoU of any threshold; curves of both over the threshold.
    """

    def __init__(self, kind: Kind, params: MaxBoxAccParams | MaxMaskAccParams) -> None:
        self.kind, self.method = kind, params.convention
        self.per_image = params.convention == "per-image"
        super().__init__({kind: ""}, np.zeros(1 if self.per_image else len(GRID)), params.normalize)
        self.ious = params.iou or ([0.3, 0.5, 0.7] if params.convention.endswith("v2") else [0.5])
        self.convention = f"{params.convention}, IoU {', '.join(f'{iou:g}' for iou in self.ious)} ({params.normalize})"

    def rows(self, found: Sequence[Found]) -> Floats:
        return np.stack([self._ious(each) for each in found])

    def summarize(self, rows: Table) -> Summary:
        judged = Judged.of(rows, self.kind)
        ious = judged.values if len(judged.values) else None
        hits = {iou: None if ious is None else (ious >= iou).mean(axis=0) for iou in self.ious}
        best = {iou: None if share is None else float(share.max()) for iou, share in hits.items()}
        values = [value for value in best.values() if value is not None]
        single = len(best) == 1
        scalars = {"": self._scalar(float(np.mean(values)) if values else None, judged, proportion=single)}
        for iou, share in hits.items():
            scalars[f"@{iou:g}"] = self._scalar(best[iou], judged, proportion=True, detail=single)
            if not self.per_image:
                at = None if share is None else float(GRID[share.argmax()])
                scalars[f".threshold@{iou:g}"] = self._scalar(at, judged, unit="of the maximum", detail=True)
        mean = None if ious is None else ious.mean(axis=0)
        scalars[".mean-iou"] = self._scalar(None if mean is None else float(mean.max()), judged)
        return Summary({**scalars, ".left-out": left_out(judged)}, self._curves(hits, mean))

    def _scalar(self, value: float | None, judged: Judged, **more: Any) -> Scalar:
        return Scalar(value=value, n=len(judged.values), n_invalid=judged.invalid, convention=self.convention, **more)

    def _curves(self, hits: Mapping[float, Floats | None], mean: Floats | None) -> dict[str, Curve]:
        if mean is None or self.per_image:
            return {}
        labels = {f"@{iou:g}": (share, f"share of images with IoU >= {iou:g}") for iou, share in hits.items()}
        return {suffix: Curve(x=GRID.tolist(), y=y.tolist(), x_label="threshold", y_label=label)
                for suffix, (y, label) in {**labels, ".mean-iou": (mean, "mean IoU")}.items() if y is not None}

    def _ious(self, found: Found) -> Floats:
        if self.per_image:
            tree = found.case.tree
            return np.asarray(overlap(tree, np.unique(tree.largest), found.region).iou.max(keepdims=True), np.float64)
        if self.method.startswith("wsol"):
            return self._as_published(found)
        levels = found.case.grid_levels(self.normalize)
        tree = found.case.tree_of(levels)
        if self.method == "v2":
            alive = tree.alive_at(levels)
            return alive.best(overlap(tree, alive.nodes, found.region).iou)
        return overlap(tree, tree.largest_at(levels), found.region).iou

    def _as_published(self, found: Found) -> Floats:
        from harness_saliency_metrics.wsol import any_contour_iou, gray_levels, largest_contour_iou, truth_boxes

        scaled, truth = found.case.normalized(self.normalize), found.case.truth
        if scaled is None or truth.target.boxes is None:
            raise ValueError("an invalid map has no contours, and without boxes there is nothing to compare with")
        function = any_contour_iou if self.method == "wsol-v2" else largest_contour_iou
        return function(gray_levels(scaled), truth_boxes(truth.target.boxes, truth.fit), GRID)


def max_box_acc(params: MaxBoxAccParams) -> MaxAccuracy:
    """max-box-acc: of boxes with the annotated boxes, the best pair."""
    return MaxAccuracy("box", params)


def max_mask_acc(params: MaxMaskAccParams) -> MaxAccuracy:
    """max-mask-acc: of components with the mask."""
    return MaxAccuracy("mask", params)
