"""Image classification: generated scenes, photographs, networks to explain, top-k accuracy, calibration."""

from collections.abc import Iterable
from math import inf

from harness.api import DatasetSpec, MetricSpec, ModelSpec, hookimpl
from harness_classification.params import (
    CamCnnParams,
    ClassifierRecipe,
    EceParams,
    ForegroundParams,
    ImageFolderParams,
    OxfordPetParams,
    ResNetParams,
    TopKParams,
    VggParams,
)

_TASKS = frozenset({"classification"})


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="oxford-pet",
            summary="Oxford-IIIT Pet: photographs of cats and dogs with breed, mask and box.",
            task="classification",
            provides=frozenset({"boxes", "mask"}),
            params=OxfordPetParams,
            factory="harness_classification.oxford_pet:OxfordPet",
        ),
        DatasetSpec(
            name="foreground",
            summary="Generated scenes: one of six textured shapes on clutter, with class, box and mask.",
            task="classification",
            provides=frozenset({"boxes", "mask"}),
            params=ForegroundParams,
            factory="harness_classification.foreground:Foreground",
        ),
        DatasetSpec(
            name="image-folder",
            summary="Photographs in one folder per class; masks, if there are any, in a second tree.",
            task="classification",
            params=ImageFolderParams,
            factory="harness_classification.image_folder:ImageFolder",
        ),
    ]


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="cam-cnn",
            summary="VGG-style network with global average pooling and one linear layer: ready for CAM.",
            task="classification",
            params=CamCnnParams,
            recipe=ClassifierRecipe,
            factory="harness_classification.models:CamClassifier",
            export_id="cam-cnn",
        ),
        ModelSpec(
            name="vgg",
            summary="VGG-11, 13, 16 and 19 in torchvision's layout, with a width factor.",
            task="classification",
            params=VggParams,
            recipe=ClassifierRecipe,
            factory="harness_classification.models:VggClassifier",
            export_id="vgg",
        ),
        ModelSpec(
            name="resnet",
            summary="ResNet-18 and 34 in torchvision's layout, with a width factor.",
            task="classification",
            params=ResNetParams,
            recipe=ClassifierRecipe,
            factory="harness_classification.models:ResNetClassifier",
            export_id="resnet",
        ),
    ]


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="top-k",
            summary="Share of samples whose label is among the k highest logits.",
            tasks=_TASKS,
            params=TopKParams,
            factory="harness_classification.top_k:TopK",
            worst=0.0,
        ),
        MetricSpec(
            name="nll",
            summary="Mean negative log-likelihood of the label, natural logarithm.",
            tasks=_TASKS,
            factory="harness_classification.proper_scores:NegativeLogLikelihood",
            higher_is_better=False,
            unit="nat",
            range=(0.0, inf),
        ),
        MetricSpec(
            name="brier",
            summary="Mean squared distance of the probabilities to the one-hot label.",
            tasks=_TASKS,
            factory="harness_classification.proper_scores:Brier",
            higher_is_better=False,
            unit="squared distance",
            range=(0.0, 2.0),
            worst=2.0,
        ),
        MetricSpec(
            name="ece",
            summary="Expected calibration error of the top-1 probability.",
            tasks=_TASKS,
            params=EceParams,
            factory="harness_classification.calibration:ExpectedCalibrationError",
            higher_is_better=False,
            worst=1.0,
        ),
    ]
