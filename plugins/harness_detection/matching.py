"""Which anchor is trained to find which object, and offsets from anchors to boxes and back, in torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BACKGROUND, IGNORED = 0, -1


class Matches(NamedTuple):
    """labels: (A,) int64, 0 background, 1 + class index, -1 not trained; boxes: (A, 4) of the matched objects."""

    labels: Tensor
    boxes: Tensor


def match(anchors: Tensor, boxes: Tensor, labels: Tensor, positive_iou: float, negative_iou: float) -> Matches:
    """Anchors (A, 4) to the objects (M, 4) of one image, labels (M,) class indices; M = 0 is all background.

    An anchor takes the object with its highest IoU if that is at least positive_iou, and is background below
    negative_iou. Each object also takes its own best anchor, whatever their IoU (Liu 2016, section 2.2); where two
    objects want the same one, the one with the higher IoU has it and the other its next best.
    """
    found = torch.full((len(anchors),), BACKGROUND, dtype=torch.int64)
    if len(boxes) == 0:
        return Matches(found, torch.zeros_like(anchors))
    overlaps = iou(anchors, boxes)
    best, owner = overlaps.max(1)
    found[best >= negative_iou] = IGNORED
    positive = best >= positive_iou
    for anchor, item in _forced(overlaps):
        owner[anchor] = item
        positive[anchor] = True
    found[positive] = labels[owner[positive]] + 1
    return Matches(found, boxes[owner])


def iou(first: Tensor, second: Tensor) -> Tensor:
    """(A, 4), (M, 4) -> (A, M) intersection over union."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1) for boxes in (first, second)]
    return common / (areas[0][:, None] + areas[1][None] - common).clamp(min=1e-9)


def encode(boxes: Tensor, anchors: Tensor, variances: tuple[float, float]) -> Tensor:
    """(..., 4) boxes with extent -> (..., 4) offsets tx, ty, tw, th from their anchors (Girshick 2014, Liu 2016)."""
    center, extent = _center(boxes, -1)
    anchor_center, anchor_extent = _center(anchors, -1)
    shift = (center - anchor_center) / anchor_extent / variances[0]
    return torch.cat([shift, (extent / anchor_extent).log() / variances[1]], -1)


def decode(offsets: Tensor, anchors: Tensor, variances: tuple[float, float], dim: int = -1) -> Tensor:
    """The inverse of `encode`: (..., 4, ...) offsets -> edges of the same shape, not clipped; dim: where the 4 are."""
    anchor_center, anchor_extent = _center(anchors, dim)
    shift, scale = offsets.chunk(2, dim)
    center = shift * (variances[0] * anchor_extent) + anchor_center
    half = (scale * variances[1]).exp() * (anchor_extent / 2)
    return torch.cat([center - half, center + half], dim)


def _center(boxes: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    low, high = boxes.chunk(2, dim)
    return (low + high) / 2, high - low


def _forced(overlaps: Tensor) -> list[tuple[int, int]]:
    """(anchor, object) pairs: the highest IoU left over, again and again, each anchor and each object once."""
    left = overlaps.clone()
    pairs = []
    for _ in range(min(left.shape)):
        anchor, item = divmod(int(left.argmax()), left.shape[1])
        pairs.append((anchor, item))
        left[anchor], left[:, item] = -1, -1
    return pairs
