"""OpenVINO as a second engine on the CPU."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import BackendSpec, hookimpl
from harness_openvino.params import OpenVinoParams


@hookimpl
def harness_backends() -> Iterable[BackendSpec]:
    return [BackendSpec(name="openvino", summary="OpenVINO on the CPU.", params=OpenVinoParams,
                        factory="harness_openvino.backend:OpenVinoBackend",
                        precisions=frozenset({"fp32", "fp16", "int8"}))]
