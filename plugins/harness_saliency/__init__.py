"""Saliency: generators that run inside of an ONNX graph, and those that only need to run the model."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import ModelSpec, SaliencySpec, hookimpl
from harness_saliency import graph_specs, host_specs
from harness_saliency.fed_params import SaliencyFedParams


@hookimpl
def harness_saliency() -> Iterable[SaliencySpec]:
    return [*graph_specs.specs(), *host_specs.specs()]


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [
        ModelSpec(
            name="saliency-fed",
            summary="A segmentation network that sees where a classifier looked, as one graph.",
            task="segmentation",
            params=SaliencyFedParams,
            locate="harness_saliency.fed:locate",
        ),
    ]
