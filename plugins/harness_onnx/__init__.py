"""Bring your own model: any ONNX file, described by the suite or by its own metadata."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import ModelSpec, hookimpl
from harness_onnx.params import OnnxParams


@hookimpl
def harness_models() -> Iterable[ModelSpec]:
    return [ModelSpec(name="onnx", summary="Any ONNX file.", params=OnnxParams, locate="harness_onnx.model:locate")]
