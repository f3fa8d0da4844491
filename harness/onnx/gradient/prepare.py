"""What is done to a graph before it is differentiated."""

from __future__ import annotations

import onnx
from onnx import inliner, version_converter

from harness.onnx.gradient.errors import GradientError

OPSET = 18
"""Oldest version of the standard operators that rules know: reductions take their axes as an input."""


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with functions inlined, at opset 18 or newer.

    Raises GradientError when onnx can not convert the graph to a newer opset.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    return upgraded(model)


def upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy at opset 18 or newer of the standard domain."""
    version = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), OPSET)
    if version >= OPSET:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise GradientError(f"the graph is at opset {version}, and onnx can not convert it to {OPSET}, which the "
                            f"gradient rules need ({error}); export it at opset {OPSET} or newer") from error
    converted.ir_version = max(converted.ir_version, 8)
    return converted
