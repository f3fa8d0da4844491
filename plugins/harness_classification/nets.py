"""The classifiers: image (N, 3, H, W) float32 -> logits (N, classes). All tensors are float32, (N, C, H, W).

`Vgg` and `ResNet` have the layout and the parameter names of torchvision, so that its state dicts fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions per stage (Simonyan 2014, table 1: A, B, D and E)."""
RESNET = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Blocks per stage (He 2015, table 1)."""
_VGG_CHANNELS = (64, 128, 256, 512, 512)
_RESNET_CHANNELS = (64, 128, 256, 512)
_VGG_HIDDEN, _VGG_POOLED = 4096, 7
_GAIN = 8.0


class CamCnn(nn.Module):
    """VGG-style stages, global average pooling and one linear layer, as class activation mapping needs (Zhou 2016).

    Two 3x3 convolutions with batch normalization per stage, the very first one with stride 2, and 2x2 max pooling
    between stages: with three stages the last activation has 1/8 of the image's height and width.
    """

    def __init__(self, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(zip((3, *widths[:-1]), widths, strict=True)):
            pool = [nn.MaxPool2d(2)] if number else []
            stages += [*pool, *_unit(inputs, outputs, 1 if number else 2), *_unit(outputs, outputs)]
        self.features = nn.Sequential(*stages)
        self.classifier = nn.Linear(widths[-1], classes)
        # Pooled over an image of which the object covers a tenth, normalized features hardly differ from one image to
        # the next: without this gain the first epochs learn nothing.
        nn.init.constant_(_last_normalization(self.features).weight, _GAIN)

    def forward(self, image: Tensor) -> Tensor:
        # Not AdaptiveAvgPool2d: the mean exports to one node.
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits


class Vgg(nn.Module):
    """VGG (Simonyan 2014) in torchvision's layout.

    size: (height, width) of the image; width: factor of all channels; batch_norm: the `_bn` variants.
    """

    def __init__(self, depth: int, classes: int, size: tuple[int, int], width: float = 1.0,
                 batch_norm: bool = False) -> None:
        super().__init__()
        channels = [max(1, round(width * each)) for each in _VGG_CHANNELS]
        hidden = max(1, round(width * _VGG_HIDDEN))
        self.features = nn.Sequential(*_vgg_features(VGG[depth], channels, batch_norm))
        self.avgpool = StaticAveragePool((size[0] // 32, size[1] // 32), _VGG_POOLED)
        self.classifier = nn.Sequential(
            nn.Linear(channels[-1] * _VGG_POOLED**2, hidden), nn.ReLU(inplace=True), nn.Dropout(),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(hidden, classes))
        self.apply(_initialize_vgg)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.avgpool(self.features(image)).flatten(1))
        return logits


class ResNet(nn.Module):
    """ResNet-18 and -34 (He 2015) in torchvision's layout."""

    def __init__(self, depth: int, classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels = [max(1, round(width * each)) for each in _RESNET_CHANNELS]
        self.conv1 = nn.Conv2d(3, channels[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        pairs = zip((channels[0], *channels[:-1]), channels, RESNET[depth], strict=True)
        for number, (inputs, outputs, blocks) in enumerate(pairs, 1):
            stage = [BasicBlock(inputs, outputs, 1 if number == 1 else 2)]
            stage += [BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        self.fc = nn.Linear(channels[-1], classes)
        self.apply(_initialize_resnet)

    def forward(self, image: Tensor) -> Tensor:
        features = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        for number in range(1, len(_RESNET_CHANNELS) + 1):
            features = self.get_submodule(f"layer{number}")(features)
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a strided 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        shortcut = features if self.downsample is None else self.downsample(features)
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features)))))
        outputs: Tensor = self.relu(inner + shortcut)
        return outputs


class StaticAveragePool(nn.Module):
    """AdaptiveAvgPool2d for a feature size that is known: (N, C, *size) -> (N, C, output, output).

    AdaptiveAvgPool2d exports to Gather graphs. Here the means over its bins, from floor(i size / output) to
    ceil((i + 1) size / output), are two matrix products, and nothing at all where the size is right already.
    """

    def __init__(self, size: tuple[int, int], output: int) -> None:
        super().__init__()
        self.same = size == (output, output)
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", _bins(size[0], output), persistent=False)
        self.register_buffer("columns", _bins(size[1], output).T.contiguous(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return features if self.same else self.rows @ features @ self.columns


def _bins(size: int, output: int) -> Tensor:
    """(output, size) float32 weights of each position in each bin's mean."""
    weights = torch.zeros(output, size)
    for index in range(output):
        start, end = index * size // output, -(-(index + 1) * size // output)
        weights[index, start:end] = 1 / (end - start)
    return weights


def _unit(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _last_normalization(features: nn.Sequential) -> nn.BatchNorm2d:
    return [module for module in features if isinstance(module, nn.BatchNorm2d)][-1]


def _vgg_features(repeats: Sequence[int], channels: Sequence[int], batch_norm: bool) -> Iterator[nn.Module]:
    inputs = 3
    for count, outputs in zip(repeats, channels, strict=True):
        for _ in range(count):
            yield nn.Conv2d(inputs, outputs, 3, padding=1)
            if batch_norm:
                yield nn.BatchNorm2d(outputs)
            yield nn.ReLU(inplace=True)
            inputs = outputs
        yield nn.MaxPool2d(2)


def _initialize_vgg(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _initialize_resnet(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
