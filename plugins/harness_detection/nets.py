"""The network: a small backbone, a top-down neck, and two heads for each feature level. Batch normalization throughout.

All tensors are float32, (N, C, H, W); the image is (N, 3, H, W).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = {2: 16, 4: 32, 8: 64, 16: 128, 32: 128, 64: 128}
"""Channels of the backbone by stride."""
NECK = 32
"""Channels of every level in the neck and the heads."""


class RawDetections(NamedTuple):
    """What the heads give, by level: K anchors at each of h * w locations.

    classes: (N, K, C, h * w) logits; boxes: (N, K, 4, h * w) offsets tx, ty, tw, th; features: (N, NECK, h, w) before
    the heads. This layout is that of the convolutions: what follows runs over rows of neighbors in memory.
    """

    classes: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    features: tuple[Tensor, ...]

    @property
    def logits(self) -> Tensor:
        """(N, A, C)."""
        return by_anchor(self.classes)

    @property
    def offsets(self) -> Tensor:
        """(N, A, 4)."""
        return by_anchor(self.boxes)


class Detector(nn.Module):
    """Image -> RawDetections over all anchors, in the order of `anchors.Anchors`.

    strides: of the levels, increasing; anchors: at each location, by level; outputs: logits of each anchor.
    """

    def __init__(self, strides: Sequence[int], anchors: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.strides, self.outputs = tuple(strides), outputs
        self.stages = nn.ModuleList(_stages(self.strides[-1]))
        self.laterals = nn.ModuleList(_convolution(WIDTHS[stride], NECK, kernel=1) for stride in strides)
        self.smooths = nn.ModuleList(_convolution(NECK, NECK) for _ in strides)
        self.classes = nn.ModuleList(nn.Conv2d(NECK, count * outputs, 3, padding=1) for count in anchors)
        self.boxes = nn.ModuleList(nn.Conv2d(NECK, count * 4, 3, padding=1) for count in anchors)

    def forward(self, image: Tensor) -> RawDetections:
        features = self._neck(self._backbone(image))
        classes, boxes = (
            tuple(_rows(head(level), values) for head, level in zip(heads, features, strict=True))
            for heads, values in ((self.classes, self.outputs), (self.boxes, 4)))
        return RawDetections(classes, boxes, tuple(features))

    def _backbone(self, image: Tensor) -> list[Tensor]:
        levels, stride = [], 1
        for stage in self.stages:
            image, stride = stage(image), stride * 2
            if stride in self.strides:
                levels.append(image)
        return levels

    def _neck(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Coarse levels, enlarged, are added to finer ones (feature pyramid, Lin 2017), each then smoothed."""
        merged = [lateral(level) for lateral, level in zip(self.laterals, levels, strict=True)]
        for fine in range(len(merged) - 2, -1, -1):
            factor = self.strides[fine + 1] // self.strides[fine]
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], scale_factor=float(factor), mode="nearest")
        return [smooth(level) for smooth, level in zip(self.smooths, merged, strict=True)]


def _stages(last: int) -> list[nn.Sequential]:
    """One for each halving: a strided convolution, then one (two where the map is coarse) that keeps the size."""
    strides = [stride for stride in WIDTHS if stride <= last]
    stages = [_convolution(3, WIDTHS[2], stride=2)]
    for before, stride in pairwise(strides):
        width = WIDTHS[stride]
        further = [_convolution(width, width) for _ in range(2 if stride >= 16 else 1)]
        stages.append(nn.Sequential(_convolution(WIDTHS[before], width, stride=2), *further))
    return stages


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def by_anchor(levels: Sequence[Tensor]) -> Tensor:
    """(N, K, values, h * w) of each level -> (N, A, values) in the order of `anchors.Anchors`."""
    return torch.cat([level.permute(0, 3, 1, 2).flatten(1, 2) for level in levels], 1)


def _rows(maps: Tensor, values: int) -> Tensor:
    """(N, K * values, h, w) -> (N, K, values, h * w)."""
    return maps.reshape(maps.shape[0], -1, values, maps.shape[2] * maps.shape[3])
