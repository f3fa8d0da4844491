"""The classifiers as the training and export code sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api import (
    ClassificationTarget,
    Fit,
    InputSpec,
    ModelCard,
    Recipe,
    Target,
    TaskMismatch,
    did_you_mean,
    one_of,
    read_labels,
)
from harness_classification.nets import CamCnn, ResNet, Vgg
from harness_classification.params import CamCnnParams, ClassifierParams, ClassifierRecipe, ResNetParams, VggParams
from harness_classification.weights import load_weights

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of ImageNet in RGB, as torchvision's networks expect."""


class _Classifier:
    """What all classifiers share: labels, cross-entropy with label smoothing, weights to start from."""

    output_names = ("logits",)

    def __init__(self, params: ClassifierParams, recipe: Recipe) -> None:
        self.params = params
        self.recipe = recipe
        self.labels = params.labels if isinstance(params.labels, list) else read_labels(params.labels)
        self.input = InputSpec(size=(params.size, params.size), mean=MEAN, std=STD)
        self._card = ModelCard(task="classification", input=self.input, labels=self.labels, classes=params.classes)

    def initialize(self, module: nn.Module) -> None:
        """Start from the file `weights`. Raises ModelFileError when it does not fit."""
        if self.params.weights is not None:
            load_weights(module, self.params.weights)

    def encode(self, targets: Sequence[Target], fits: Sequence[Fit]) -> Mapping[str, Tensor]:  # noqa: ARG002
        """classes: (N,) int64 class indices."""
        return {"classes": torch.tensor([self._class_index(target) for target in targets])}

    def loss(self, outputs: Tensor, encoded: Mapping[str, Tensor]) -> Tensor:
        """Mean cross-entropy to the smoothed one-hot label."""
        return F.cross_entropy(outputs, encoded["classes"], label_smoothing=self.params.label_smoothing)

    def predictor(self, module: nn.Module) -> nn.Module:
        return _Predictor(module)

    def snapshot(self, outputs: Tensor) -> None:
        """No dense outputs to look at."""

    def card_fields(self) -> Mapping[str, Any]:
        return {"labels": self.labels, "classes": self.params.classes}

    def _class_index(self, target: Target) -> int:
        if not isinstance(target, ClassificationTarget):
            raise TaskMismatch(f"classifiers train on class labels, the dataset gives {type(target).__name__}")
        index = self._card.class_index(target.label)
        if index is None:
            raise TaskMismatch(f'the dataset\'s label "{target.label}" is no class of this model'
                               f"{did_you_mean(target.label, self.labels)}; it has {one_of(self.labels)}: set `labels` "
                               "or `classes` of the model")
        return index


class CamClassifier(_Classifier):
    """`cam-cnn`."""

    def __init__(self, params: CamCnnParams) -> None:
        super().__init__(params, ClassifierRecipe())
        self.widths = params.widths

    def build(self) -> nn.Module:
        return CamCnn(len(self.labels), self.widths)


class VggClassifier(_Classifier):
    """`vgg`."""

    def __init__(self, params: VggParams) -> None:
        super().__init__(params, ClassifierRecipe())
        self.architecture = params

    def build(self) -> nn.Module:
        params = self.architecture
        return Vgg(params.depth, len(self.labels), self.input.size, params.width, params.batch_norm)


class ResNetClassifier(_Classifier):
    """`resnet`."""

    def __init__(self, params: ResNetParams) -> None:
        super().__init__(params, ClassifierRecipe())
        self.architecture = params

    def build(self) -> nn.Module:
        return ResNet(self.architecture.depth, len(self.labels), self.architecture.width)


class _Predictor(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.module(image),)
