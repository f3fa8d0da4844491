"""The networks: one encoder with two heads, batch normalization throughout.

All tensors are float32, (N, C, H, W); the image is (N, 1, 128, 128).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128)
LEAK = 0.1


class Block(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalization and ReLU; the first one strided."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(*_convolution(inputs, outputs, stride), *_convolution(outputs, outputs, 1))


class Encoder(nn.Module):
    """image (N, 1, H, W) -> features at 1/2, 1/4, 1/8 and 1/16 of its size with WIDTHS channels."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((1, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.stages = nn.ModuleList(Block(inputs, outputs, stride=2) for inputs, outputs in pairs)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


class HeatmapModule(nn.Module):
    """U-Net-style (Ronneberger 2015) encoder-decoder: image (N, 1, H, W) -> (N, K, H/2, W/2) raw heatmaps.

    The decoder's rectifiers leak: with plain ones a heatmap may settle on a flat top, which is its bias where every
    feature that it weighs is off, and no gradient reaches those features any more.
    """

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.encoder = Encoder()
        deep_to_shallow = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for deep, shallow in deep_to_shallow)
        self.merges = nn.ModuleList(
            nn.Sequential(*_convolution(2 * shallow, shallow, 1, nn.LeakyReLU(LEAK, inplace=True)))
            for _, shallow in deep_to_shallow
        )
        self.head = nn.Conv2d(WIDTHS[0], keypoints, 1)

    def forward(self, image: Tensor) -> Tensor:
        *skips, features = self.encoder(image)
        for up, merge, skip in zip(self.ups, self.merges, reversed(skips), strict=True):
            features = merge(torch.cat([up(features), skip], dim=1))
        heatmaps: Tensor = self.head(features)
        return heatmaps


class RegressionModule(nn.Module):
    """Image (N, 1, H, W) -> (N, K, 2) coordinates x, y as fractions of the image's width and height."""

    def __init__(self, keypoints: int) -> None:
        super().__init__()
        self.keypoints = keypoints
        self.encoder = Encoder()
        self.head = nn.Linear(WIDTHS[-1], 2 * keypoints)

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.encoder(image)[-1].mean((2, 3))
        coordinates: Tensor = self.head(pooled)
        return coordinates.reshape(-1, self.keypoints, 2)


def _convolution(inputs: int, outputs: int, stride: int, activation: nn.Module | None = None) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        activation or nn.ReLU(inplace=True),
    ]
