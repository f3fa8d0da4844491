"""What is done to a graph before it is differentiated."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper, inliner, numpy_helper, version_converter

from harness.onnx.gradient.errors import GradientError, label
from harness.onnx.simplify import simplify

OPSET = 18
"""Oldest version of the standard operators that rules know: reductions take their axes as an input."""
_COORDINATES = 11
"""The opset since which Resize says how coordinates are meant."""


def prepare(model: onnx.ModelProto, *, keep: Sequence[str] = (), fold_batch_norm: bool = False) -> onnx.ModelProto:
    """A simplified copy at opset 18 or newer, see `simplify`.

    keep: inner tensors that have to stay, e.g. those to differentiate by. fold_batch_norm: merge BatchNormalization
    into the convolution before it, unless its output is to be kept; those weights are not the file's any more.
    Raises GradientError when onnx can not convert the graph to a newer opset, ModelFileError as `simplify`.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    return simplify(upgraded(model), fold_batch_norm=fold_batch_norm, keep=keep)


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
    if version < _COORDINATES:
        _say_coordinates(converted)
    return converted


def _say_coordinates(model: onnx.ModelProto) -> None:
    """Resize and Upsample of old opsets had one convention; the converter leaves them to the default of the new one.

    Raises GradientError for nearest neighbors unless they are known to be upsampled: shrinking rounded another way.
    """
    constants = {each.name: each for each in model.graph.initializer}
    constants.update({node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"})
    for node in model.graph.node:
        if node.op_type == "Resize":
            modes = [each.s for each in node.attribute if each.name == "mode"]
            scales = constants.get(node.input[2]) if len(node.input) > 2 else None
            if modes in ([], [b"nearest"]) and (scales is None or (numpy_helper.to_array(scales) < 1).any()):
                raise GradientError(f"{label(node)} may shrink by nearest neighbors, which opsets before "
                                    f"{_COORDINATES} round in their own way; export it at opset {OPSET} or newer")
            node.attribute.extend([helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
                                   helper.make_attribute("nearest_mode", "floor")])
