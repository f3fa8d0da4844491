"""What runs on the host: baselines, maps made elsewhere, and methods that only need to run the model."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import SaliencySpec
from harness_saliency.host_params import (
    AblationCamParams,
    CenterGaussianParams,
    KernelShapParams,
    OcclusionParams,
    PrecomputedParams,
    RandomParams,
    RiseParams,
    ScoreCamParams,
)


def specs() -> Iterable[SaliencySpec]:
    return [*_references(), *_perturbing(), *_cams()]


def _references() -> Iterable[SaliencySpec]:
    return [
        SaliencySpec(
            name="random",
            summary="Baseline: uniform noise in [0, 1), independent of image, model and class.",
            params=RandomParams,
            passes=0.0,
            factory="harness_saliency.baselines:Random",
        ),
        SaliencySpec(
            name="center-gaussian",
            summary="Baseline: a bell in the middle of the input, independent of image, model and class.",
            params=CenterGaussianParams,
            passes=0.0,
            factory="harness_saliency.baselines:CenterGaussian",
        ),
        SaliencySpec(
            name="precomputed",
            summary="Maps that were made elsewhere, by anything: .npy, .npz or gray .png, found by the sample's id.",
            params=PrecomputedParams,
            stored=True,
            passes=0.0,
            factory="harness_saliency.precomputed:Precomputed",
        ),
    ]


def _perturbing() -> Iterable[SaliencySpec]:
    return [
        SaliencySpec(
            name="occlusion",
            summary="How much the score drops when a patch is covered.",
            params=OcclusionParams,
            conventions=("mean-drop-over-patches",),
            factory="harness_saliency.occlusion:Occlusion",
        ),
        SaliencySpec(
            name="rise",
            summary="Random masks, weighed by the score of what they show.",
            params=RiseParams,
            conventions=("masks-per-sample", "bilinear-half-pixel"),
            factory="harness_saliency.rise:Rise",
        ),
        SaliencySpec(
            name="kernel-shap",
            summary="Shapley values of rectangles of a grid, by weighted least squares.",
            params=KernelShapParams,
            conventions=("grid-superpixels",),
            factory="harness_saliency.kernel_shap:KernelShap",
        ),
    ]


def _cams() -> Iterable[SaliencySpec]:
    return [
        SaliencySpec(
            name="score-cam",
            summary="Activations weighed by the score of the image that each of them masks.",
            params=ScoreCamParams,
            conventions=("relu-then-bilinear-half-pixel",),
            factory="harness_saliency.score_cam:ScoreCam",
        ),
        SaliencySpec(
            name="ablation-cam",
            summary="Activations weighed by what the score loses without them.",
            params=AblationCamParams,
            conventions=("absolute-denominator", "relu-then-bilinear-half-pixel"),
            factory="harness_saliency.ablation_cam:AblationCam",
        ),
    ]
