"""Small networks with the operators of the well-known families, random weights, and their exports by both exporters.

Every network takes (N, 3, SIZE, SIZE) float32; classifiers give (N, 10), the U-shaped one (N, 4, SIZE, SIZE). `layer`
is the module whose output is an inner layer (N, C, h, w) of interest.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxscript
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.export import quiet
from harness.onnx.runtime import onnxruntime
from harness_classification import nets
from harness_classification.nets import ResNet, Vgg

SIZE = 64
CLASSES = 10
EXPORTERS = {"dynamo": 20, "torchscript": 17}
"""Exporter -> opset. At 17 Gelu is still a pattern of Erf, at 20 an operator."""


class SqueezeExcite(nn.Module):
    """Channel attention (Hu 2018) as in MobileNetV3 (HardSigmoid) and EfficientNet (Sigmoid)."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(channels, channels // 4, 1), nn.ReLU(),
                                   nn.Conv2d(channels // 4, channels, 1), gate)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.inner(F.adaptive_avg_pool2d(x, 1))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-excitation, linear projection (Sandler 2018, Howard 2019)."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int, act: Callable[[], nn.Module],
                 gate: Callable[[], nn.Module] | None) -> None:
        super().__init__()
        inner = 3 * inputs
        self.block = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), act(),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False), nn.BatchNorm2d(inner),
            act(), SqueezeExcite(inner, gate()) if gate else nn.Identity(),
            nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.shortcut else self.block(x)


class MobileNet(nn.Module):
    """ReLU6, HardSwish and squeeze-excitation with HardSigmoid: MobileNetV2 and V3 in one."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
            InvertedResidual(8, 8, 1, 3, nn.ReLU6, None), InvertedResidual(8, 12, 2, 3, nn.ReLU, nn.Hardsigmoid),
            InvertedResidual(12, 16, 2, 5, nn.Hardswish, nn.Hardsigmoid),
            InvertedResidual(16, 16, 1, 5, nn.Hardswish, nn.Hardsigmoid))
        self.head = nn.Sequential(nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), nn.Hardswish())
        self.classifier = nn.Sequential(nn.Linear(32, 24), nn.Hardswish(), nn.Dropout(), nn.Linear(24, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.head(self.features(x)), 1).flatten(1))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.new = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 2 * growth, 1, bias=False),
            nn.BatchNorm2d(2 * growth), nn.ReLU(), nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.new(x)], 1)


class DenseNet(nn.Module):
    """Concatenated features, normalization before the convolution, average-pooled transitions (Huang 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                                  nn.MaxPool2d(3, 2, 1))
        self.dense1 = nn.Sequential(DenseLayer(8, 4), DenseLayer(12, 4))
        self.transition = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False),
                                        nn.AvgPool2d(2))
        self.dense2 = nn.Sequential(DenseLayer(8, 4), DenseLayer(12, 4))
        self.norm, self.act = nn.BatchNorm2d(16), nn.ReLU()
        self.classifier = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense2(self.transition(self.dense1(self.stem(x))))
        return self.classifier(F.adaptive_avg_pool2d(self.act(self.norm(x)), (1, 1)).flatten(1))


class EfficientNet(nn.Module):
    """Silu everywhere, squeeze-excitation with Sigmoid (Tan 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.blocks = nn.Sequential(InvertedResidual(8, 8, 1, 3, nn.SiLU, nn.Sigmoid),
                                    InvertedResidual(8, 12, 2, 5, nn.SiLU, nn.Sigmoid),
                                    InvertedResidual(12, 12, 1, 3, nn.SiLU, nn.Sigmoid))
        self.head = nn.Sequential(nn.Conv2d(12, 24, 1, bias=False), nn.BatchNorm2d(24), nn.SiLU())
        self.classifier = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.head(self.blocks(self.stem(x))).mean((2, 3)))


class ConvNextBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(channels, 3 * channels), nn.GELU(), nn.Linear(3 * channels, channels))
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.mlp(self.norm(self.depthwise(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        return x + self.scale * y


class LayerNorm2d(nn.Module):
    """LayerNorm over channels of (N, C, H, W), written out as ConvNeXt's authors do."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        centered = x - x.mean(1, keepdim=True)
        x = centered / torch.sqrt(centered.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNext(nn.Module):
    """Patches, 7x7 depthwise convolutions, LayerNorm, GELU (Liu 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), LayerNorm2d(8))
        self.stage1 = nn.Sequential(ConvNextBlock(8), ConvNextBlock(8))
        self.down = nn.Sequential(LayerNorm2d(8), nn.Conv2d(8, 16, 2, 2))
        self.stage2 = nn.Sequential(ConvNextBlock(16), ConvNextBlock(16))
        self.norm, self.classifier = nn.LayerNorm(16, eps=1e-6), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(self.stage2(self.down(self.stage1(self.stem(x)))).mean((-2, -1))))


class DoubleConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, norm: nn.Module) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), norm, nn.LeakyReLU(0.1),
                         nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU())


class UNet(nn.Module):
    """Max pooling down, one transposed convolution and one bilinear upsampling up, skips (Ronneberger 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = DoubleConv(3, 8, nn.InstanceNorm2d(8, affine=True))
        self.down2 = DoubleConv(8, 12, nn.GroupNorm(3, 12))
        self.bottom = DoubleConv(12, 16, nn.BatchNorm2d(16))
        self.up2 = nn.ConvTranspose2d(16, 12, 2, 2)
        self.right2 = DoubleConv(24, 12, nn.BatchNorm2d(12))
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.right1 = DoubleConv(20, 8, nn.BatchNorm2d(8))
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.bottom(F.max_pool2d(two, 2))
        x = self.right2(torch.cat([two, self.up2(x)], 1))
        return self.head(self.right1(torch.cat([one, self.up1(x)], 1)))


class EncoderBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches, class token, position embedding, multi-head attention (Dosovitskiy 2021)."""

    def __init__(self, width: int = 24, patch: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 1 + (SIZE // patch) ** 2, width))
        self.blocks = nn.Sequential(EncoderBlock(width), EncoderBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


@dataclass(frozen=True)
class Entry:
    """How to build a network, and the dotted name of its layer to explain."""

    build: Callable[[], nn.Module]
    layer: str


NETS = {
    "vgg": Entry(partial(Vgg, 11, CLASSES, (SIZE, SIZE), 0.125), "features.19"),
    "resnet18": Entry(partial(ResNet, 18, CLASSES, 0.25), "layer3"),
    "mobilenet": Entry(MobileNet, "head"),
    "densenet": Entry(DenseNet, "act"),
    "efficientnet": Entry(EfficientNet, "head"),
    "convnext": Entry(ConvNext, "stage1"),
    "unet": Entry(UNet, "bottom"),
    "vit": Entry(VisionTransformer, "patches"),
}


@dataclass
class Zoo:
    """Networks and exports, each made once; exports are kept in `folder`, if any, for the next run."""

    folder: Path | None = None
    nets: dict[str, nn.Module] = field(default_factory=dict)
    exports: dict[tuple[str, str], onnx.ModelProto] = field(default_factory=dict)
    layers: dict[tuple[str, str], str] = field(default_factory=dict)

    def net(self, name: str) -> nn.Module:
        """In evaluation mode, float32, the same weights always; its parameters need no gradient."""
        if name not in self.nets:
            self.nets[name] = randomized(NETS[name].build(), name)
        return self.nets[name]

    def export(self, name: str, exporter: str) -> onnx.ModelProto:
        """image (batch, 3, SIZE, SIZE) -> scores; exporter: a key of EXPORTERS."""
        key = name, exporter
        if key not in self.exports:
            self.exports[key] = self._kept(name, exporter)
        return self.exports[key]

    def _kept(self, name: str, exporter: str) -> onnx.ModelProto:
        path = self.folder / f"{name}-{exporter}-{versions()}.onnx" if self.folder else None
        if path is not None and path.exists():
            return onnx.load(path)
        model = export(self.net(name), exporter)
        if path is not None:
            whole = path.with_suffix(f".{os.getpid()}")
            onnx.save(model, whole)
            whole.replace(path)
        return model

    def layer(self, name: str, exporter: str) -> str:
        """The tensor of the export that has the values of the network's `layer`, the last one of several."""
        key = name, exporter
        if key not in self.layers:
            self.layers[key] = same_values(self.export(name, exporter), self.net(name), NETS[name].layer)
        return self.layers[key]


def versions() -> str:
    """A digest of all that decides about an export: these networks, the exporters, their libraries."""
    sources = [Path(file).read_bytes() for file in (__file__, nets.__file__)]
    libraries = [module.__version__ for module in (torch, onnx, onnxscript)]
    return hashlib.sha256(repr((sources, libraries)).encode()).hexdigest()[:16]


def same_values(model: onnx.ModelProto, net: nn.Module, layer: str, size: int = SIZE) -> str:
    """The last tensor of the graph that equals the output of a module on a random image."""
    found: list[Tensor] = []
    hook = net.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: found.append(output))
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    net(image)
    hook.remove()
    expected = found[0].numpy()
    everything = onnx.ModelProto()
    everything.CopyFrom(model)
    del everything.graph.output[:]
    names = [name for node in model.graph.node for name in node.output]
    everything.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = onnxruntime().InferenceSession(everything.SerializeToString()).run(names, {"image": image.numpy()})
    same = [name for name, value in zip(names, values, strict=True)
            if value.shape == expected.shape and np.abs(value - expected).max() <= 1e-4 * np.abs(expected).max()]
    return same[-1]


def randomized(net: nn.Module, salt: str) -> nn.Module:
    """Weights that depend on the salt alone and keep the scale of activations from layer to layer.

    Activations work out of place, so that hooks on them see what they put out.
    """
    for module in net.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    random = torch.Generator().manual_seed(sum(map(ord, salt)))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(False)
        if parameter.ndim > 1:
            fan_in = parameter[0].numel()
            parameter.copy_(torch.randn(parameter.shape, generator=random) * (2 / fan_in) ** 0.5)
        else:
            center = 1.0 if name.endswith("weight") else 0.0
            parameter.copy_(center + 0.2 * torch.randn(parameter.shape, generator=random))
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.2 * torch.randn(buffer.shape, generator=random))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=random))
    return net.eval()


def export(net: nn.Module, exporter: str, opset: int | None = None, size: int = SIZE) -> onnx.ModelProto:
    """With a dynamic batch."""
    example = (torch.zeros(2, 3, size, size),)
    names = {"input_names": ["image"], "output_names": ["scores"], "opset_version": opset or EXPORTERS[exporter]}
    with quiet():
        if exporter == "dynamo":
            program = torch.onnx.export(net, example, dynamo=True, external_data=False, verbose=False, **names,
                                        dynamic_shapes=({0: torch.export.Dim("batch")},))
            assert program is not None
            return program.model_proto
        file = io.BytesIO()
        with without_fast_attention():
            torch.onnx.export(net, example, file, dynamo=False, **names,
                              dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
        return onnx.load_from_string(file.getvalue())


@contextmanager
def without_fast_attention() -> Iterator[None]:
    """The TorchScript exporter knows attention by its parts only."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
