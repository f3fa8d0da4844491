"""Keypoints: stick figures, HeatmapNet and RegressionNet, decoding inside the graph, PCK and peak calibration."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import DatasetSpec, MetricSpec, ModelSpec, hookimpl
from harness_keypoints.params import (
    HeatmapNetParams,
    HeatmapNetRecipe,
    PckParams,
    PeakCalibrationParams,
    RegressionNetParams,
    RegressionNetRecipe,
    StickFiguresParams,
)


@hookimpl
def harness_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="stick-figures",
            summary="Generated gray figures in random poses with five keypoints: head, hands and feet.",
            task="keypoints",
            params=StickFiguresParams,
            factory="harness_keypoints.figures:StickFigures",
        )
    ]


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="heatmapnet",
            summary="Encoder-decoder with skips that predicts one heatmap per keypoint, decoded inside the graph.",
            task="keypoints",
            params=HeatmapNetParams,
            recipe=HeatmapNetRecipe,
            factory="harness_keypoints.models:HeatmapNet",
            export_id="heatmapnet",
        ),
        ModelSpec(
            name="regressionnet",
            summary="The same encoder with global average pooling and a fully connected head for coordinates.",
            task="keypoints",
            params=RegressionNetParams,
            recipe=RegressionNetRecipe,
            factory="harness_keypoints.models:RegressionNet",
            export_id="regressionnet",
        ),
    ]


@hookimpl
def harness_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="pck",
            summary="Share of visible keypoints whose error is within a fraction of the figure's diagonal.",
            tasks=frozenset({"keypoints"}),
            params=PckParams,
            factory="harness_keypoints.pck:Pck",
            worst=0.0,
            conventions=("visible-diagonal",),
        ),
        MetricSpec(
            name="peak-calibration",
            summary="Spearman correlation between a keypoint's peak height and its pixel error; -1 is ideal.",
            tasks=frozenset({"keypoints"}),
            params=PeakCalibrationParams,
            factory="harness_keypoints.calibration:PeakCalibration",
            higher_is_better=False,
            unit="correlation",
            range=(-1.0, 1.0),
            worst=1.0,
        ),
    ]
