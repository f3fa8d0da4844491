"""Segmentation: cells, mask folders, aerial images and VOC, UNet, IoU, Dice, boundaries and instances."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import DatasetSpec, MetricSpec, ModelSpec, hookimpl
from harness_segmentation.params import (
    BoundaryParams,
    CellsParams,
    InriaAerialParams,
    InstanceParams,
    MaskFolderParams,
    OverlapParams,
    PascalVocParams,
    PixelAccuracyParams,
    UNetParams,
    UNetRecipe,
)

_TASKS = frozenset({"segmentation"})


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="cells",
            summary="Generated gray images of touching elliptic cells, each with its number.",
            task="segmentation",
            provides=frozenset({"mask"}),
            params=CellsParams,
            factory="harness_segmentation.cells:CellImages",
        ),
        DatasetSpec(
            name="mask-folder",
            summary="Images and masks in two folders, or side by side with a suffix (iCoseg's layout among them).",
            task="segmentation",
            provides=frozenset({"mask"}),
            params=MaskFolderParams,
            factory="harness_segmentation.mask_folder:MaskFolder",
        ),
        DatasetSpec(
            name="inria-aerial",
            summary="Inria aerial image labeling: buildings, 5000 x 5000 tiles read by window, official city split.",
            task="segmentation",
            provides=frozenset({"mask"}),
            params=InriaAerialParams,
            factory="harness_segmentation.inria:InriaAerial",
        ),
        DatasetSpec(
            name="pascal-voc-seg",
            summary="Pascal VOC segmentation: 20 classes and background, object numbers, borders not judged.",
            task="segmentation",
            provides=frozenset({"mask"}),
            params=PascalVocParams,
            factory="harness_segmentation.pascal_voc:PascalVoc",
        ),
    ]


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="unet",
            summary="U-Net, padded or as published, with border weight map; exported for images of any size.",
            task="segmentation",
            params=UNetParams,
            recipe=UNetRecipe,
            factory="harness_segmentation.unet:UNet",
            export_id="unet-cells",
        )
    ]


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="iou",
            summary="Intersection over union of the pixels: by image, by class, macro and micro.",
            tasks=_TASKS,
            params=OverlapParams,
            factory="harness_segmentation.counts:IoU",
            worst=0.0,
            conventions=("foreground", "classes"),
        ),
        MetricSpec(
            name="dice",
            summary="Dice coefficient of the pixels: by image, by class, macro and micro.",
            tasks=_TASKS,
            params=OverlapParams,
            factory="harness_segmentation.counts:Dice",
            worst=0.0,
            conventions=("foreground", "classes"),
        ),
        MetricSpec(
            name="pixel-accuracy",
            summary="Share of the pixels whose class is right.",
            tasks=_TASKS,
            params=PixelAccuracyParams,
            factory="harness_segmentation.counts:PixelAccuracy",
            worst=0.0,
        ),
        MetricSpec(
            name="boundary-f1",
            summary="Harmonic mean of boundary precision and recall within a tolerance.",
            tasks=_TASKS,
            params=BoundaryParams,
            factory="harness_segmentation.boundary:BoundaryF1",
            worst=0.0,
            conventions=("csurka-2013",),
        ),
        MetricSpec(
            name="instance-f1",
            summary="F1 of objects: connected components of the prediction against the numbered objects.",
            tasks=_TASKS,
            params=InstanceParams,
            factory="harness_segmentation.instances:InstanceF1",
            worst=0.0,
            conventions=("components",),
        ),
        MetricSpec(
            name="panoptic-quality",
            summary="Panoptic quality of the connected components of the prediction.",
            tasks=_TASKS,
            params=InstanceParams,
            factory="harness_segmentation.instances:PanopticQuality",
            worst=0.0,
            conventions=("components",),
        ),
    ]
