"""Detection: generated shapes, COCO-format data, a multi-scale single-shot detector, COCO mAP and anchor metrics."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import DatasetSpec, ModelSpec, hookimpl
from harness_detection.params import (
    MultiscaleDetectorParams,
    MultiscaleDetectorRecipe,
    ShapesParams,
)

harness_api = 1


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
