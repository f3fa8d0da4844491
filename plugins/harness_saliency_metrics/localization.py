"""Declarations of the localization metrics."""

from __future__ import annotations

import math
from typing import Any

from harness.api import MetricSpec
from harness_saliency_metrics.localization_params import (
    EnergyParams,
    LocalizationErrorParams,
    LrpParams,
    MaeParams,
    MaxBoxAccParams,
    MaxMaskAccParams,
    PixelF1Params,
    PointingParams,
    PxapParams,
    RankAccuracyParams,
    SaliencyMetricParams,
    WarpingErrorParams,
    WarpParams,
)
from harness_saliency_metrics.params import RegionParams

TASKS = frozenset({"classification"})
_REGIONS = frozenset({"saliency", "boxes", "mask"})


def _declared(name: str, summary: str, factory: str, **rest: Any) -> MetricSpec:
    return MetricSpec(name=name, summary=summary, factory=f"harness_saliency_metrics.{factory}",
                      **{"tasks": TASKS, "requires": _REGIONS, **rest})


METRICS: tuple[MetricSpec, ...] = (
    _declared("localization-error", "1 - IoU of the largest component of the thresholded map.",
              "overlap:LocalizationError", params=LocalizationErrorParams, conventions=("continuous", "hit"),
              higher_is_better=False, worst=1.0),
    _declared("official-metric", "Localization error, and 1 where the top-1 class is wrong.",
              "overlap:OfficialMetric", params=LocalizationErrorParams, conventions=("continuous", "hit"),
              higher_is_better=False, worst=1.0),
    _declared("lrp-error", "Localization-recall-precision error of the components as detections.",
              "lrp:LrpError", params=LrpParams, conventions=("best", "all"), higher_is_better=False, worst=1.0),
    _declared("pixel-f1", "F1, precision and recall of the pixels.", "overlap:PixelF1", params=PixelF1Params,
              conventions=("binary", "continuous"), worst=0.0),
    _declared("pointing-game", "Share of the map's maxima that lie inside of the object.", "pixels:PointingGame",
              params=PointingParams, conventions=("share", "any"), worst=0.0),
    _declared("energy-pointing-game", "Share of the map's sum that lies inside of the object.",
              "pixels:EnergyPointingGame", params=EnergyParams, conventions=("max", "min-max"), worst=0.0),
    _declared("max-box-acc", "Share of images localized at the threshold that is best for all, by box.",
              "max_accuracy:max_box_acc", params=MaxBoxAccParams, requires=frozenset({"saliency", "boxes"}),
              conventions=("v1", "v2", "per-image", "wsol", "wsol-v2"), worst=0.0),
    _declared("max-mask-acc", "Share of images localized at the threshold that is best for all, by mask.",
              "max_accuracy:max_mask_acc", params=MaxMaskAccParams, requires=frozenset({"saliency", "mask"}),
              conventions=("v1", "v2", "per-image"), worst=0.0),
    _declared("pxap", "Pixel average precision: precision and recall of all pixels of all images.",
              "pxap:PixelAveragePrecision", params=PxapParams, requires=frozenset({"saliency", "mask"}),
              conventions=("grid", "wsol"), worst=0.0),
    _declared("saliency-metric", "How small an excerpt suffices for the network.",
              "saliency_metric:SaliencyMetric", params=SaliencyMetricParams,
              requires=frozenset({"saliency", "predict"}), conventions=("crop", "no-crop"), higher_is_better=False,
              unit="nat", range=(math.log(0.05), -math.log(1e-10)), worst=-math.log(1e-10), passes=2.0),
    _declared("mae", "Mean absolute difference of map and object.", "pixels:MeanAbsoluteError", params=MaeParams,
              conventions=("min-max", "max"), higher_is_better=False, worst=1.0),
    _declared("warping-error", "Mismatches that no change of shape removes, only one of topology.",
              "warping_error:WarpingError", params=WarpingErrorParams, conventions=("forward", "reverse"),
              higher_is_better=False, worst=1.0),
    _declared("relevance-rank-accuracy", "Share of the most salient pixels that lie inside of the object.",
              "pixels:RankAccuracy", params=RankAccuracyParams,
              conventions=("area", "top-k", "concept-influence"), worst=0.0),
    _declared("attribution-auc", "ROC area of the map as a classifier of the object's pixels.",
              "pixels:AttributionAuc", params=RegionParams, conventions=("ties half",), worst=0.0),
)

SEGMENTATION: tuple[MetricSpec, ...] = (
    _declared("segmentation-warping-error", "Mismatches of a segmentation that only a change of topology removes.",
              "segmentation_warping:SegmentationWarpingError", params=WarpParams, tasks=frozenset({"segmentation"}),
              requires=frozenset(), conventions=("forward", "reverse"), higher_is_better=False, worst=1.0),
)
"""Metrics of masks that need no map."""
