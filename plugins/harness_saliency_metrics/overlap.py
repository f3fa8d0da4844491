"""Localization error and pixel F1: how a map's largest component overlaps with the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import TaskMismatch
from harness_saliency_metrics.judging import Found, MeanScores
from harness_saliency_metrics.localization_params import LocalizationErrorParams, PixelF1Params
from harness_saliency_metrics.regions import Region
from harness_saliency_metrics.threshold_tree import ThresholdTree
from harness_saliency_metrics.thresholds import level_of

Floats = NDArray[np.float64]


class Overlap(NamedTuple):
    """Pixels of K predictions and the objects they overlap most with: common, predicted, truth (K,) float64."""

    common: Floats
    predicted: Floats
    truth: Floats

    @property
    def iou(self) -> Floats:
        """Intersection over union."""
        return self.common / (self.predicted + self.truth - self.common)

    @property
    def precision(self) -> Floats:
        """0 for a prediction without a judged pixel."""
        return np.divide(self.common, self.predicted, out=np.zeros_like(self.common), where=self.predicted > 0)

    @property
    def recall(self) -> Floats:
        return self.common / self.truth

    @property
    def f1(self) -> Floats:
        """2 P R / (P + R) = 2 common / (predicted + truth)."""
        return 2 * self.common / (self.predicted + self.truth)


def overlap(tree: ThresholdTree, nodes: NDArray[np.integer], region: Region) -> Overlap:
    """Of components: for a box region of their boxes, each with the box of the highest IoU; otherwise of themselves
    with the mask, in judged pixels.
    """
    if region.kind == "mask":
        truth = np.full(len(nodes), region.area, np.float64)
        return Overlap(tree.inside[nodes].astype(np.float64), tree.judged[nodes].astype(np.float64), truth)
    return box_overlap(tree.boxes[nodes].astype(np.int64), region.boxes)


def box_overlap(boxes: NDArray[np.int64], truth: NDArray[np.int64]) -> Overlap:
    """(K, 4), (M, 4) half-open boxes, M >= 1, each of them with the first one of the highest IoU."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    predicted, areas = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (boxes, truth))
    best = (common / (predicted[:, None] + areas[None] - common)).argmax(axis=1)
    return Overlap(common[np.arange(len(boxes)), best].astype(np.float64), predicted.astype(np.float64),
                   areas[best].astype(np.float64))


def largest_overlap(found: Found, level: int) -> Overlap | None:
    """Of a level's largest component; None for an empty level set."""
    if level < 0:
        return None
    at = np.array([level])
    tree = found.case.tree_of(at)
    return overlap(tree, tree.largest_at(at), found.region)


class LocalizationError(MeanScores):
    """1 - IoU of the largest component (Phang 2020; mask twin: Aabid and Sicre, section 7.1).

    localization-error.box: of its box and the object's box; localization-error.mask: of itself and the mask.
    """

    def __init__(self, params: LocalizationErrorParams) -> None:
        hit = params.score == "hit"
        super().__init__(params.suffixes, {"": 1.0}, params.normalize, higher_is_better=False, proportion=hit,
                         convention=f"{'IoU > 0.5' if hit else '1 - IoU'}, {params.binarization}")
        self.params = params

    def score(self, found: Found) -> Sequence[float]:
        overlapping = largest_overlap(found, level_of(found.case, self.params))
        iou = 0.0 if overlapping is None else float(overlapping.iou[0])
        return [float(not iou > 0.5) if self.params.score == "hit" else 1 - iou]


class OfficialMetric(LocalizationError):
    """The localization error, and 1 where the class with the highest logit is not the label (Phang 2020)."""

    def __init__(self, params: LocalizationErrorParams) -> None:
        super().__init__(params)
        self.convention += ", top-1"

    def score(self, found: Found) -> Sequence[float]:
        samples, target = found.samples, found.case.truth.target
        label = samples.card.class_index(target.label)
        if label is None:
            raise TaskMismatch(f'official-metric: the model has no class for the label "{target.label}"; set its '
                               "`classes`")
        if int(samples.predictions.dense("logits")[found.index].argmax()) != label:
            return [1.0]
        return super().score(found)


class PixelF1(MeanScores):
    """F1, precision and recall of pixels (Choe 2020): of the largest component (binary) or of the map (continuous).

    continuous: P = sum(S M) / sum(S), R = sum(S M) / sum(M). Of several boxes the binary convention takes the one of
    the highest IoU, the continuous one takes their union. Results: pixel-f1.box, .box.precision, .box.recall, and
    likewise for the mask.
    """

    def __init__(self, params: PixelF1Params) -> None:
        binary = params.convention == "binary"
        super().__init__(params.suffixes, {"": 0.0, ".precision": 0.0, ".recall": 0.0}, params.normalize,
                         convention=f"binary, {params.binarization}" if binary else f"continuous ({params.normalize})")
        self.params = params

    def score(self, found: Found) -> Sequence[float]:
        if self.params.convention == "continuous":
            return self._continuous(found)
        overlapping = largest_overlap(found, level_of(found.case, self.params))
        if overlapping is None:
            return [0.0, 0.0, 0.0]
        return [float(each[0]) for each in (overlapping.f1, overlapping.precision, overlapping.recall)]

    def _continuous(self, found: Found) -> Sequence[float]:
        inside, total = found.case.energy(found.region, self.params.normalize)
        precision = inside / total if total else 0.0
        recall = inside / found.region.area
        return [2 * precision * recall / (precision + recall) if inside > 0 else 0.0, precision, recall]
