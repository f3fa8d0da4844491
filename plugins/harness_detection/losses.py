"""Losses of the detector over all anchors of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from harness_detection.matching import BACKGROUND


def hard_negative_cross_entropy(logits: Tensor, labels: Tensor, ratio: float) -> Tensor:
    """Sum of the cross-entropies of the positives and of each image's hardest negatives, `ratio` for each positive.

    logits: (N, A, 1 + C), background first; labels: (N, A). An image without positives has `ratio` negatives.
    """
    losses = F.cross_entropy(logits.transpose(1, 2), labels.clamp(min=BACKGROUND), reduction="none")
    positive = labels > BACKGROUND
    candidates = losses.detach().masked_fill(labels != BACKGROUND, -1.0)
    wanted = (ratio * positive.sum(1).clamp(min=1)).round().to(torch.int64)
    most = int(wanted.max().clamp(max=losses.shape[1]))
    hardest, where = candidates.topk(most, dim=1)
    chosen = (torch.arange(most) < wanted[:, None]) & (hardest >= 0)
    return losses[positive].sum() + (losses.gather(1, where) * chosen).sum()


def focal_loss(logits: Tensor, labels: Tensor, gamma: float, alpha: float) -> Tensor:
    """Sum of the sigmoid focal losses (Lin 2017, equation 5) of all trained anchors.

    logits: (N, A, C), one sigmoid for each class; labels: (N, A).
    """
    truth = F.one_hot(labels.clamp(min=BACKGROUND), logits.shape[2] + 1)[..., 1:].to(logits.dtype)
    losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = torch.where(truth > 0, 1 - logits.sigmoid(), logits.sigmoid())
    weights = torch.where(truth > 0, alpha, 1 - alpha) * wrong**gamma
    return (losses * weights * (labels >= BACKGROUND).unsqueeze(2)).sum()


def box_loss(offsets: Tensor, truth: Tensor, labels: Tensor, beta: float) -> Tensor:
    """Sum of the smooth L1 losses of the positives' offsets; offsets, truth: (N, A, 4); linear from `beta` on."""
    positive = labels > BACKGROUND
    return F.smooth_l1_loss(offsets[positive], truth[positive], reduction="sum", beta=beta)
