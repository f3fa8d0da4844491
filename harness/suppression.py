"""Decoding of single-shot detectors on the host: thresholds and class-wise non-maximum suppression in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.card import SsdDecoder

Array = NDArray[Any]


def decode_ssd(decoder: SsdDecoder, outputs: Mapping[str, Array], size: tuple[int, int]) -> dict[str, Array]:
    """Raw outputs of a batch -> the flat outputs of the task detection, by image, class, and falling score.

    outputs: boxes (N, A, 4) and scores (N, A, C) under the decoder's names; size: [height, width] of the input.
    Returns boxes (D, 4) float32 input pixels, scores (D,) float32, labels and image (D,) int64, level (D,) int64 where
    the decoder knows its levels. Of equal scores the lowest anchor comes first.
    """
    boxes = np.asarray(outputs[decoder.boxes], np.float32)
    if decoder.relative:
        boxes = boxes * np.array([size[1], size[0]] * 2, np.float32)
    ranks, scores, threshold = _scores(decoder, outputs[decoder.scores])
    picked = list(_picked(decoder, boxes, ranks, threshold))
    image, labels, anchors = np.concatenate([np.zeros((0, 3), np.int64), *picked]).T
    found = {"boxes": boxes[image, anchors], "scores": scores[image, anchors, labels].astype(np.float32),
             "labels": labels, "image": image}
    if decoder.levels is not None:
        found["level"] = np.repeat(np.arange(len(decoder.levels)), decoder.levels)[anchors]
    return found


def suppress(boxes: Array, scores: Array, iou_threshold: float, score_threshold: float, most: int) -> NDArray[np.int64]:
    """Indices of the boxes of one class that remain: best score first, lowest index first among equal ones.

    boxes: (A, 4) float32; scores: (A,), those at or below the threshold are dropped. A box goes when its IoU with one
    that remains exceeds the threshold; a box without area overlaps nothing. As onnxruntime's NonMaxSuppression.
    """
    order = np.flatnonzero(scores > scores.dtype.type(score_threshold))
    order = order[np.argsort(-scores[order], kind="stable")]
    kept: list[int] = []
    while len(order) and len(kept) < most:
        kept.append(int(order[0]))
        order = order[1:]
        order = order[_overlaps(boxes[kept[-1]], boxes[order]) <= np.float32(iou_threshold)]
    return np.array(kept, np.int64)


def log_odds(probability: float) -> float:
    """The score whose sigmoid is the probability; infinite at 0 and 1."""
    with np.errstate(divide="ignore"):
        return float(np.log(probability) - np.log1p(-probability))


def _scores(decoder: SsdDecoder, raw: Array) -> tuple[Array, Array, float]:
    """What ranks (N, A, C), probabilities (N, A, C), the threshold of the ranks; without the background.

    Sigmoids saturate, so that log-odds rank better than they do.
    """
    raw = np.asarray(raw, np.float32)
    if decoder.activation == "softmax":
        raw = np.exp(raw - raw.max(axis=2, keepdims=True))
        raw = raw / raw.sum(axis=2, keepdims=True)
    if decoder.background is not None:
        raw = np.delete(raw, decoder.background, axis=2)
    if decoder.activation != "sigmoid":
        return raw, raw, decoder.score_threshold
    with np.errstate(over="ignore"):
        return raw, 1 / (1 + np.exp(-raw)), log_odds(decoder.score_threshold)


def _picked(decoder: SsdDecoder, boxes: Array, ranks: Array, threshold: float) -> Iterator[NDArray[np.int64]]:
    """(n, 3) image, class and anchor of what remains, for each image and class."""
    for image, label in np.ndindex(ranks.shape[0], ranks.shape[2]):
        anchors = suppress(boxes[image], ranks[image, :, label], decoder.iou_threshold, threshold,
                           decoder.max_detections)
        yield np.stack([np.full_like(anchors, image), np.full_like(anchors, label), anchors], axis=1)


def _overlaps(box: Array, others: Array) -> Array:
    """(4,), (M, 4) float32 -> (M,) IoU."""
    extent = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None)
    common = extent[:, 0] * extent[:, 1]
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = areas + (box[2] - box[0]) * (box[3] - box[1]) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=(common > 0) & (union > 0)))
