"""Declarations of the faithfulness metrics: what the network says of changed images, what the generator of changed
networks, and what a map alone tells.
"""

from __future__ import annotations

from math import inf

from harness.api import MetricSpec
from harness_saliency_metrics.faithfulness_params import (
    AdccParams,
    AverageDropParams,
    AverageIncreaseParams,
    CoherencyParams,
    ConventionParams,
    DeletionParams,
    InfidelityParams,
    InsertionParams,
    MaxSensitivityParams,
    ParameterRandomizationParams,
    PixelFlippingParams,
    RoadParams,
)

_CLASSIFICATION = frozenset({"classification"})
_ANY = frozenset({"classification", "detection", "keypoints", "segmentation"})
_MAP = frozenset({"saliency"})
_PREDICT = frozenset({"saliency", "predict"})
_ROWS = 225.0  # of a curve: one step for each row of a usual input, and the image itself

METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        name="average-drop",
        summary="Share of the class probability that is lost when the image is seen through its map.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=AverageDropParams, passes=2,
        factory="harness_saliency_metrics.masking:AverageDrop",
        higher_is_better=False, range=(0.0, inf), worst=1.0,
        conventions=("default", "abs", "unnormalized", "top50", "pixels"),
    ),
    MetricSpec(
        name="average-increase",
        summary="Share of the images whose class is more probable when seen through the map.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=AverageIncreaseParams, passes=2,
        factory="harness_saliency_metrics.masking:AverageIncrease",
        worst=0.0, conventions=("default", "ties"),
    ),
    MetricSpec(
        name="average-gain",
        summary="Share of the missing class probability that is gained when the image is seen through its map.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=ConventionParams, passes=2,
        factory="harness_saliency_metrics.masking:AverageGain",
        worst=0.0,
    ),
    MetricSpec(
        name="insertion",
        summary="Area under the class probability while pixels appear, the most salient first.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=InsertionParams, passes=_ROWS,
        factory="harness_saliency_metrics.insertion_deletion:Insertion",
        range=(0.0, inf), worst=0.0,
        conventions=("default", "baseline=rise", "baseline=zero", "relative=True", "steps=K"),
    ),
    MetricSpec(
        name="deletion",
        summary="Area under the class probability while pixels disappear, the most salient first.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=DeletionParams, passes=_ROWS,
        factory="harness_saliency_metrics.insertion_deletion:Deletion",
        higher_is_better=False, range=(0.0, inf), worst=1.0,
        conventions=("default", "baseline=blur", "baseline=rise", "relative=True", "steps=K"),
    ),
    MetricSpec(
        name="pixel-flipping",
        summary="Mean class probability over the steps of deletion, by number of pixels.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=PixelFlippingParams, passes=_ROWS,
        factory="harness_saliency_metrics.insertion_deletion:PixelFlipping",
        higher_is_better=False, worst=1.0,
    ),
    MetricSpec(
        name="road",
        summary="Class probability after removal and noisy imputation of the most and the least salient pixels.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=RoadParams, passes=18,
        factory="harness_saliency_metrics.road:Road",
        range=(-0.5, 0.5), worst=-0.5,
    ),
    MetricSpec(
        name="adcc",
        summary="Harmonic mean of coherency, 1 - complexity and 1 - average drop.",
        tasks=_CLASSIFICATION, requires=_PREDICT | {"explain"}, params=AdccParams, passes=2,
        factory="harness_saliency_metrics.agreement:Adcc",
        worst=0.0,
    ),
    MetricSpec(
        name="complexity",
        summary="Mean of the map, normalized by its maximum.",
        tasks=_ANY, requires=_MAP, params=ConventionParams,
        factory="harness_saliency_metrics.agreement:Complexity",
        higher_is_better=False, worst=1.0,
    ),
    MetricSpec(
        name="coherency",
        summary="Correlation of the map with the map of the image seen through it, moved to 0..1.",
        tasks=_ANY, requires=_MAP | {"explain"}, params=CoherencyParams,
        factory="harness_saliency_metrics.agreement:Coherency",
        worst=0.0,
    ),
    MetricSpec(
        name="infidelity",
        summary="Squared error of the map as a prediction of what perturbations do to the class probability.",
        tasks=_CLASSIFICATION, requires=_PREDICT, params=InfidelityParams, passes=101,
        factory="harness_saliency_metrics.infidelity:Infidelity",
        higher_is_better=False, unit="squared error", worst=1.0,
    ),
    MetricSpec(
        name="max-sensitivity",
        summary="Largest relative change of the map under small noise on the input.",
        tasks=_ANY, requires=_MAP | {"explain"}, params=MaxSensitivityParams,
        factory="harness_saliency_metrics.sensitivity:MaxSensitivity",
        higher_is_better=False, unit="relative change", range=(0.0, inf), worst=2.0,
    ),
    MetricSpec(
        name="sparseness",
        summary="Gini index of the magnitudes of the map.",
        tasks=_ANY, requires=_MAP, params=ConventionParams,
        factory="harness_saliency_metrics.sparseness:Sparseness",
        worst=0.0,
    ),
    MetricSpec(
        name="parameter-randomization",
        summary="Rank correlation of the map with maps of the network randomized layer by layer from the top.",
        tasks=_ANY, requires=_MAP | {"explain", "model"}, params=ParameterRandomizationParams,
        factory="harness_saliency_metrics.randomization:ParameterRandomization",
        higher_is_better=False, unit="correlation", worst=1.0,
    ),
)
