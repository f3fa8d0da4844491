"""Saliency: generators that run inside of an ONNX graph, and those that only need to run the model."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import SaliencySpec, hookimpl
from harness_saliency import graph_specs, host_specs

harness_api = 1


@hookimpl
def harness_saliency() -> Iterable[SaliencySpec]:
    return [*graph_specs.specs(), *host_specs.specs()]
