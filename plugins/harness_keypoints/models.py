"""HeatmapNet and RegressionNet as the training and export code sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api import Fit, InputSpec, KeypointsTarget, Recipe, Target, TaskMismatch
from harness_keypoints import decoding
from harness_keypoints.nets import HeatmapModule, RegressionModule
from harness_keypoints.params import (
    KEYPOINTS,
    HeatmapNetParams,
    HeatmapNetRecipe,
    RegressionNetParams,
    RegressionNetRecipe,
)

SIZE = 128
HEATMAP_SIZE = SIZE // 2


class _KeypointNet:
    """What both networks share: their input and their labels."""

    input = InputSpec(size=(SIZE, SIZE), color="GRAY")

    def card_fields(self) -> Mapping[str, Any]:
        return {"labels": list(KEYPOINTS)}


class HeatmapNet(_KeypointNet):
    """One heatmap per keypoint, decoded inside the graph."""

    output_names = ("keypoints", "scores", "heatmaps")

    def __init__(self, params: HeatmapNetParams) -> None:
        self.params = params
        self.recipe: Recipe = HeatmapNetRecipe()

    def build(self) -> nn.Module:
        return HeatmapModule(len(KEYPOINTS))

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:
        """heatmaps: (N, K, 64, 64) float32 Gaussians of height 1 at the keypoints; invisible ones are all zero."""
        points, visible = _input_points(targets, fits)
        return {"heatmaps": gaussians((points + 0.5) / 2 - 0.5, self.params.sigma) * visible[:, :, None, None]}

    def loss(self, outputs: Tensor, encoded: Mapping[str, Tensor]) -> Tensor:
        if self.params.loss == "bce":
            return F.binary_cross_entropy_with_logits(outputs, encoded["heatmaps"])
        return F.mse_loss(outputs, encoded["heatmaps"])

    def predictor(self, module: nn.Module) -> nn.Module:
        decoder = decoding.create(self.params.decoder, self.params.sigma)
        return _HeatmapPredictor(module, decoder, logits=self.params.loss == "bce")

    def snapshot(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid() if self.params.loss == "bce" else outputs


class RegressionNet(_KeypointNet):
    """Coordinates straight from pooled features."""

    output_names = ("keypoints",)

    def __init__(self, params: RegressionNetParams) -> None:
        self.params = params
        self.recipe: Recipe = RegressionNetRecipe()

    def build(self) -> nn.Module:
        return RegressionModule(len(KEYPOINTS))

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:
        """coordinates: (N, K, 2) float32 fractions of the image; weights: (N, K, 1), 1 where visible."""
        points, visible = _input_points(targets, fits)
        return {"coordinates": (points + 0.5) / SIZE, "weights": visible[:, :, None]}

    def loss(self, outputs: Tensor, encoded: Mapping[str, Tensor]) -> Tensor:
        """Mean squared error of the visible coordinates."""
        error = (outputs - encoded["coordinates"]) ** 2 * encoded["weights"]
        return error.sum() / (2 * encoded["weights"].sum()).clamp(min=1)

    def predictor(self, module: nn.Module) -> nn.Module:
        return _RegressionPredictor(module)

    def snapshot(self, outputs: Tensor) -> None:
        """No dense outputs to look at."""


def gaussians(points: Tensor, sigma: float, size: int = HEATMAP_SIZE) -> Tensor:
    """(N, K, 2) centers x, y in heatmap pixels -> (N, K, size, size) Gaussians of height 1, not truncated."""
    steps = torch.arange(size, dtype=points.dtype)
    profile = torch.exp(-((steps - points[..., None]) ** 2) / (2 * sigma**2))
    return profile[:, :, 1, :, None] * profile[:, :, 0, None, :]


class _HeatmapPredictor(nn.Module):
    def __init__(self, module: nn.Module, decoder: decoding.Decoder, logits: bool) -> None:
        super().__init__()
        self.module, self.decoder, self.logits = module, decoder, logits

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heatmaps = self.module(image)
        if self.logits:
            heatmaps = heatmaps.sigmoid()
        keypoints, scores = self.decoder(heatmaps)
        return keypoints, scores, heatmaps


class _RegressionPredictor(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.module(image) * SIZE - 0.5,)


def _input_points(targets: Sequence[Target], fits: Sequence[Fit]) -> tuple[Tensor, Tensor]:
    """(N, K, 2) float32 keypoints in model input pixels and (N, K) float32, 1 where visible."""
    points, visible = [], []
    for target, fit in zip(targets, fits, strict=True):
        if not isinstance(target, KeypointsTarget):
            raise TaskMismatch(f"keypoint networks train on keypoints, the dataset gives {type(target).__name__}")
        points.append(fit.points_to_input(target.points))
        visible.append(target.visible)
    return torch.from_numpy(np.stack(points)), torch.from_numpy(np.stack(visible).astype(np.float32))
