"""Losses of dense logits against class maps with pixel weights.

logits: (N, C, h, w) float32; mask: (N, h, w) int64 class indices, -1 to ignore; weights: (N, h, w) float32, 0 to
ignore. With one channel the mask is binary and the logit is that of class 1.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_SMOOTH = 1.0
"""Added to both counts of the Dice loss in pixels, so that an empty image has a gradient."""


def cross_entropy(logits: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Pixel-wise softmax cross-entropy, the weighted mean over all pixels (Ronneberger 2015, equation 1)."""
    energy = F.cross_entropy(logits, mask, ignore_index=-1, reduction="none")
    return (energy * weights).sum() / weights.sum().clamp(min=1)


def binary_cross_entropy(logits: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Of each channel's sigmoid, the weighted mean over all pixels and channels."""
    energy = F.binary_cross_entropy_with_logits(logits, one_hot(mask, logits.shape[1]), reduction="none").mean(1)
    return (energy * weights).sum() / weights.sum().clamp(min=1)


def dice(logits: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """1 - Dice of the sigmoids, mean over images and channels (Milletari 2016, with p and not p^2 in the denominator).

    The weights only say what is ignored.
    """
    valid = (weights > 0)[:, None].to(logits.dtype)
    shares, truth = logits.sigmoid() * valid, one_hot(mask, logits.shape[1]) * valid
    common, both = (shares * truth).sum((2, 3)), shares.sum((2, 3)) + truth.sum((2, 3))
    return (1 - (2 * common + _SMOOTH) / (both + _SMOOTH)).mean()


def one_hot(mask: Tensor, channels: int) -> Tensor:
    """(N, h, w) -> (N, channels, h, w) float32; with one channel that of class 1."""
    classes = F.one_hot(mask.clamp(min=0), max(channels, 2)).permute(0, 3, 1, 2).float()
    return classes[:, 1:] if channels == 1 else classes


def loss(name: str, logits: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Scalar loss called `name`; raises KeyError for an unknown one."""
    parts = {"cross-entropy": [cross_entropy], "bce": [binary_cross_entropy], "dice": [dice],
             "bce+dice": [binary_cross_entropy, dice]}[name]
    total: Tensor = sum((part(logits, mask, weights) for part in parts[1:]), parts[0](logits, mask, weights))
    return total
