"""What runs on the host: baselines, and methods that only need to run the model."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import SaliencySpec
from harness_saliency.host_params import CenterGaussianParams, RandomParams


def specs() -> Iterable[SaliencySpec]:
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
            summary="Baseline: a bell in the middle of the image, independent of image, model and class.",
            params=CenterGaussianParams,
            passes=0.0,
            factory="harness_saliency.baselines:CenterGaussian",
        ),
    ]
