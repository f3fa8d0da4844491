"""The multi-scale detector as the training and export code sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api import DetectionTarget, Fit, InputSpec, Recipe, SsdDecoder, Target, TaskMismatch, did_you_mean, one_of
from harness_detection.anchors import Anchors, describe, make_anchors
from harness_detection.losses import box_loss, focal_loss, hard_negative_cross_entropy
from harness_detection.matching import BACKGROUND, decode, encode, match
from harness_detection.nets import Detector, RawDetections, by_anchor
from harness_detection.nms import LOG_ODDS, OUTPUTS, RAW_BOXES, Suppression
from harness_detection.params import MultiscaleDetectorParams, MultiscaleDetectorRecipe

_PRIOR = 0.01
"""Probability of an object that focal training starts from (Lin 2017, section 4.1)."""


class MultiscaleDetector:
    """Single-shot detector (Liu 2016) on several feature levels; decoding and suppression inside the graph."""

    def __init__(self, params: MultiscaleDetectorParams) -> None:
        self.params = params
        self.recipe: Recipe = MultiscaleDetectorRecipe()
        self.input = InputSpec(size=(params.size, params.size))
        self.anchors = make_anchors(self.input.size, params.levels, params.aspect_ratios)
        further = ("activations",) if params.activations else ()
        self.output_names: Sequence[str] = (*OUTPUTS, *further)
        self.finish = Suppression(self._decoder(), self.input.size, further)

    def build(self) -> nn.Module:
        params = self.params
        counts = [len(level.scales) * len(params.aspect_ratios) for level in params.levels]
        focal = params.loss == "focal"
        outputs = len(params.classes) + (0 if focal else 1)
        module = Detector([level.stride for level in params.levels], counts, outputs)
        if focal:
            for head in module.classes:
                nn.init.constant_(head.bias, -math.log((1 - _PRIOR) / _PRIOR))  # type: ignore[arg-type]
        return module

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:
        """labels: (N, A) int64 as in Matches; offsets: (N, A, 4) float32. Crowd regions are left out.

        Raises TaskMismatch for a label that is not among the classes.
        """
        anchors = torch.from_numpy(self.anchors.boxes)
        labels, offsets = [], []
        for target, fit in zip(targets, fits, strict=True):
            boxes, indices = self._objects(target, fit)
            found = match(anchors, boxes, indices, self.params.positive_iou, self.params.negative_iou)
            labels.append(found.labels)
            trained = (found.labels > BACKGROUND)[:, None]
            offsets.append(encode(torch.where(trained, found.boxes, anchors), anchors, self.params.variances))
        return {"labels": torch.stack(labels), "offsets": torch.stack(offsets)}

    def loss(self, outputs: RawDetections, encoded: Mapping[str, Tensor]) -> Tensor:
        """Classification plus localization loss, both divided by the number of positives (Liu 2016, equation 1)."""
        params, labels = self.params, encoded["labels"]
        if params.loss == "focal":
            classes = focal_loss(outputs.logits, labels, params.focal_gamma, params.focal_alpha)
        else:
            classes = hard_negative_cross_entropy(outputs.logits, labels, params.negatives)
        boxes = box_loss(outputs.offsets, encoded["offsets"], labels, params.box_beta)
        return (classes + boxes) / (labels > BACKGROUND).sum().clamp(min=1)

    def predictor(self, module: nn.Module) -> nn.Module:
        return _Predictor(module, self.anchors, self.params)

    def snapshot(self, outputs: RawDetections) -> Tensor:
        """(N, L, h, w) channel means of the levels."""
        return activation_maps(outputs.features)

    def card_fields(self) -> Mapping[str, Any]:
        return {"labels": list(self.params.classes),
                "details": {"anchors": describe(self.params.levels, self.params.aspect_ratios)}}

    def _decoder(self) -> SsdDecoder:
        params, counts = self.params, np.bincount(self.anchors.level).tolist()
        return SsdDecoder(kind="ssd", boxes=RAW_BOXES, scores=LOG_ODDS, activation="sigmoid", levels=counts,
                          score_threshold=params.score_threshold, iou_threshold=params.iou_threshold,
                          max_detections=params.max_detections)

    def _objects(self, target: Target, fit: Fit) -> tuple[Tensor, Tensor]:
        """(M, 4) float32 boxes in input pixels, inside the input and with extent, and (M,) int64 class indices."""
        if not isinstance(target, DetectionTarget):
            raise TaskMismatch(f"the detector trains on boxes, the dataset gives {type(target).__name__}")
        classes = {name: index for index, name in enumerate(self.params.classes)}
        for label in target.labels:
            if label not in classes:
                raise TaskMismatch(f'the dataset\'s label "{label}" is no class of the detector'
                                   f"{did_you_mean(label, classes)}; classes has {one_of(classes)}")
        boxes = np.clip(fit.boxes_to_input(target.boxes), 0, self.params.size)
        usable = ~target.crowd & (boxes[:, 2:] - boxes[:, :2] > 0).all(axis=1)
        indices = np.array([classes[label] for label in target.labels], np.int64)
        return torch.from_numpy(boxes[usable]), torch.from_numpy(indices[usable])


class _Predictor(nn.Module):
    """Image -> boxes (N, A, 4) inside the input, log-odds (N, A, C) and, if wanted, activation maps."""

    def __init__(self, module: nn.Module, anchors: Anchors, params: MultiscaleDetectorParams) -> None:
        super().__init__()
        self.module, self.params = module, params
        self.levels = len(params.levels)
        for level, settings in enumerate(params.levels):
            own = torch.from_numpy(anchors.boxes[anchors.level == level])
            count = len(settings.scales) * len(params.aspect_ratios)
            self.register_buffer(f"anchors{level}", own.reshape(-1, count, 4).permute(1, 2, 0).contiguous(),
                                 persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        raw: RawDetections = self.module(image)
        limit = float(self.params.size)
        boxes = [decode(offsets, getattr(self, f"anchors{level}"), self.params.variances, dim=-2).clamp(0.0, limit)
                 for level, offsets in enumerate(raw.boxes)]
        odds = raw.classes if self.params.loss == "focal" else [softmax_log_odds(each, dim=-2) for each in raw.classes]
        outputs = (by_anchor(boxes), by_anchor(odds))
        return (*outputs, activation_maps(raw.features)) if self.params.activations else outputs


def softmax_log_odds(logits: Tensor, dim: int = -1) -> Tensor:
    """Logits of 1 + C classes, background first -> log p - log(1 - p) of the C others' softmax; exact up to +-87.

    dim: where the classes are. 1 - p is the sum of the other classes' shares, never a difference, so that nothing is
    lost where p saturates.
    """
    rows = (logits - logits.amax(dim, keepdim=True)).movedim(dim, -2)
    others = (1 - torch.eye(rows.shape[-2], dtype=rows.dtype))[1:] @ rows.exp()
    return (rows[..., 1:, :] - others.clamp(min=torch.finfo(rows.dtype).tiny).log()).movedim(-2, dim)


def activation_maps(features: Sequence[Tensor]) -> Tensor:
    """Each level's channel mean, enlarged to the finest level by nearest neighbor: (N, L, h, w)."""
    finest = features[0].shape[2]
    means = [level.mean(1, keepdim=True) for level in features]
    return torch.cat([F.interpolate(mean, scale_factor=float(finest // mean.shape[2]), mode="nearest")
                      for mean in means], 1)
