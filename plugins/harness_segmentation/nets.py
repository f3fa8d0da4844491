"""U-Net (Ronneberger 2015, figure 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """image (N, channels, H, W) -> logits (N, classes, h, w) float32.

    At each resolution two 3x3 convolutions with ReLU; 2x2 max pooling doubles the way down, 2x2 up-convolutions that
    halve the channels lead up, where the encoder's features, cropped to their size, are concatenated before them; a
    1x1 convolution at the end. padded: h, w = H, W; otherwise every 3x3 convolution loses its border.
    """

    def __init__(self, channels: int, classes: int, widths: Sequence[int], *, padded: bool, norm: str) -> None:
        super().__init__()
        pairs = list(zip((channels, *widths[:-1]), widths, strict=True))
        self.down = nn.ModuleList(_block(inputs, outputs, padded, norm) for inputs, outputs in pairs)
        upward = [(deep, shallow) for shallow, deep in pairwise(widths)][::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in upward)
        self.merge = nn.ModuleList(_block(2 * shallow, shallow, padded, norm) for _, shallow in upward)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.apply(_initialize)

    def forward(self, image: Tensor) -> Tensor:
        features = self.down[0](image)
        skips = []
        for block in list(self.down)[1:]:
            skips.append(features)
            features = block(self.pool(features))
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            features = up(features)
            features = merge(torch.cat([crop(skip, features), features], dim=1))
        logits: Tensor = self.head(features)
        return logits


def crop(features: Tensor, like: Tensor) -> Tensor:
    """The center of (N, C, H, W) features at the height and width of others; equal ones as they are."""
    if features.shape[2:] == like.shape[2:]:
        return features
    top, left = ((features.shape[axis] - like.shape[axis]) // 2 for axis in (2, 3))
    return features[:, :, top : top + like.shape[2], left : left + like.shape[3]]


def _block(inputs: int, outputs: int, padded: bool, norm: str) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, outputs, padded, norm), *_convolution(outputs, outputs, padded, norm))


def _convolution(inputs: int, outputs: int, padded: bool, norm: str) -> list[nn.Module]:
    # A normalization subtracts the mean, so that a bias before it would learn nothing.
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=int(padded), bias=norm == "none")]
    if norm == "batch":
        layers.append(nn.BatchNorm2d(outputs))
    elif norm == "group":
        layers.append(nn.GroupNorm(outputs // 8, outputs))
    return [*layers, nn.ReLU(inplace=True)]


def _initialize(module: nn.Module) -> None:
    """Gaussian with standard deviation sqrt(2 / N), N inputs of a neuron (section 3 of the paper; He 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
