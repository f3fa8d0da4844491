"""Detection: generated shapes, COCO-format data, a multi-scale single-shot detector, COCO mAP and anchor metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.api import DatasetSpec, MetricSpec, ModelSpec, RunContext, hookimpl
from harness_detection.params import (
    AnchorCoverageParams,
    ClassConfusionParams,
    CocoMapParams,
    CocoParams,
    DetectionCountParams,
    MultiscaleDetectorParams,
    MultiscaleDetectorRecipe,
    ScaleSpecializationParams,
    ShapesParams,
    UnlabeledImagesParams,
)

_DETECTION = frozenset({"detection"})


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="shapes",
            summary="Generated small circles, medium squares and large triangles on textured ground.",
            task="detection",
            params=ShapesParams,
            provides=frozenset({"boxes"}),
            factory="harness_detection.shapes:Shapes",
        ),
        DatasetSpec(
            name="coco",
            summary="Any file of annotations in COCO's format with its folder of images.",
            task="detection",
            params=CocoParams,
            provides=frozenset({"boxes"}),
            factory="harness_detection.coco:Coco",
        ),
        DatasetSpec(
            name="unlabeled-images",
            summary="A folder of images without annotations: for latency, pictures and counts.",
            task="detection",
            params=UnlabeledImagesParams,
            factory="harness_detection.unlabeled:UnlabeledImages",
        ),
    ]


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="multiscale-detector",
            summary="Single-shot detector with anchors on three feature levels; suppression inside the graph.",
            task="detection",
            params=MultiscaleDetectorParams,
            recipe=MultiscaleDetectorRecipe,
            factory="harness_detection.detector:MultiscaleDetector",
            export_id="multiscale-detector",
        )
    ]


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="coco-map",
            summary="COCO's twelve numbers, average precision and recall, and the precision of each class.",
            tasks=_DETECTION,
            requires=frozenset({"boxes"}),
            params=CocoMapParams,
            factory="harness_detection.coco_map:CocoMap",
            conventions=("coco-101-point",),
            replicates=200,
        ),
        MetricSpec(
            name="scale-specialization",
            summary="Shares of the true positives by feature level, for each class and size.",
            tasks=_DETECTION,
            requires=frozenset({"boxes"}),
            params=ScaleSpecializationParams,
            factory="harness_detection.specialization:ScaleSpecialization",
            replicates=200,
        ),
        MetricSpec(
            name="anchor-coverage",
            summary="Share of the objects that an anchor overlaps enough, for each class and feature level.",
            tasks=_DETECTION,
            requires=frozenset({"boxes"}),
            params=AnchorCoverageParams,
            factory="harness_detection.coverage:AnchorCoverage",
            replicates=200,
        ),
        MetricSpec(
            name="class-confusion",
            summary="Which classes are taken for which, what is missed, and false positives for each image.",
            tasks=_DETECTION,
            requires=frozenset({"boxes"}),
            params=ClassConfusionParams,
            factory="harness_detection.confusion:ClassConfusion",
            replicates=200,
        ),
        MetricSpec(
            name="detection-count",
            summary="Detections for each image, whatever the truth: needs no annotations.",
            tasks=_DETECTION,
            params=DetectionCountParams,
            factory="harness_detection.counting:DetectionCount",
            unit="per image",
            range=(0.0, math.inf),
            replicates=200,
        ),
    ]


@hookimpl
def harness_cell_finished(context: RunContext) -> None:
    """COCO's JSON files of cells that measured coco-map, in the run's folder coco/."""
    if context.result is not None and any(name.startswith("rows.") for name in context.result.files):
        from harness_detection.writing import write

        write(context)
