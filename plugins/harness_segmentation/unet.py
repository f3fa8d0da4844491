"""UNet as the training and export code sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.api import Fit, InputSpec, Recipe, SegmentationTarget, Target, TaskMismatch, TileSpec, did_you_mean, one_of
from harness_segmentation import augment, geometry, losses, nets
from harness_segmentation.params import UNetParams, UNetRecipe
from harness_segmentation.weights import WeightCache, objects_of, weight_map


class UNet:
    """Segmentation with a U-Net; logits for every pixel, less the margin of a network without padding."""

    output_names = ("logits",)

    def __init__(self, params: UNetParams) -> None:
        self.params = params
        self.recipe: Recipe = UNetRecipe()
        self.input = InputSpec(size=params.size, color=params.color, fit=params.fit)
        self.margin = 0 if params.padded else geometry.margin(params.depth)
        self.cache = WeightCache()
        axis = geometry.step_remainder(params.depth, params.padded)
        self.dynamic_axes: Mapping[int, tuple[int, int]] = {2: axis, 3: axis}
        self._weigh = partial(weight_map, border=params.border_weight, sigma=params.border_sigma,
                              balance=params.balance, clip=params.clip)

    def build(self) -> nn.Module:
        params = self.params
        return nets.UNet(params.channels, params.outputs, params.widths, padded=params.padded, norm=params.norm)

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:
        """mask: (N, h, w) int64 classes at the size of the output, -1 ignored; weights: (N, h, w) float32.

        Raises TaskMismatch for targets of another task or with a class that the model does not have.
        """
        pairs = [self._encode(target, fit) for target, fit in zip(targets, fits, strict=True)]
        masks, weights = (np.stack(each) for each in zip(*pairs, strict=True))
        return {"mask": torch.from_numpy(masks.astype(np.int64)), "weights": torch.from_numpy(weights)}

    def loss(self, outputs: Tensor, encoded: Mapping[str, Tensor]) -> Tensor:
        return losses.loss(self.params.loss, outputs, encoded["mask"], encoded["weights"])

    def augment(self, inputs: Tensor, encoded: Mapping[str, Tensor],
                rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Each sample under its own symmetry and deformation; masks move by nearest neighbor, weights with them."""
        samples = [self._augment(*sample, rng) for sample in
                   zip(inputs, encoded["mask"], encoded["weights"], strict=True)]
        images, masks, weights = (torch.stack(each) for each in zip(*samples, strict=True))
        return images.contiguous(memory_format=torch.channels_last), {"mask": masks, "weights": weights}

    def predictor(self, module: nn.Module) -> nn.Module:
        return _Predictor(module)

    def snapshot(self, outputs: Tensor) -> Tensor:
        """(N, C', h, w) probabilities of all classes but the background."""
        return outputs.sigmoid() if self.params.loss != "cross-entropy" else outputs.softmax(1)[:, 1:]

    def card_fields(self) -> Mapping[str, Any]:
        params = self.params
        tile = params.tile or geometry.default_tile(params.size, params.depth, params.padded)
        step, remainder = geometry.step_remainder(params.depth, params.padded)
        return {"labels": list(params.labels),
                "tile": TileSpec(size=tile, step=step, remainder=remainder, margin=self.margin,
                                 radius=geometry.radius(params.depth))}

    def _encode(self, target: Target, fit: Fit) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        if not isinstance(target, SegmentationTarget):
            raise TaskMismatch(f"unet trains on class maps, the dataset gives {type(target).__name__}")
        mask = fit.mask_to_input(self._own_classes(target), outside=-1)
        instances = None if target.instances is None else fit.mask_to_input(target.instances)
        weights = self.cache.get(mask, objects_of(mask, instances), self._weigh)
        inner = slice(self.margin, -self.margin or None)
        return mask[inner, inner], weights[inner, inner]

    def _own_classes(self, target: SegmentationTarget) -> NDArray[np.int32]:
        """The mask in the model's class indices, found by name."""
        labels = self.params.labels
        for name in target.labels:
            if name not in labels:
                raise TaskMismatch(f'the dataset has the class "{name}", which unet does not know'
                                   f'{did_you_mean(name, labels)}; it has {one_of(labels)}: set the model\'s labels to '
                                   f"{list(target.labels)}")
        own = np.array([*(labels.index(name) for name in target.labels), -1], np.int32)  # the mask's -1 takes the last
        return own[target.mask]

    def _augment(self, image: Tensor, mask: Tensor, weights: Tensor,
                 rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        if self.params.flips:
            transform = augment.flip(rng, square=image.shape[-1] == image.shape[-2])
            image, mask, weights = transform(image), transform(mask), transform(weights)
        if self.params.elastic:
            grid = augment.displacement(rng, image.shape[-2], image.shape[-1], self.params.elastic)
            inner = grid if not self.margin else augment.inner(grid, self.margin)
            image = augment.warp(image, grid, nearest=False)
            mask = augment.warp(mask[None].float(), inner, nearest=True)[0].long()
            weights = augment.warp(weights[None], inner, nearest=False)[0]
        return image, mask, weights


class _Predictor(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.module(image),)
