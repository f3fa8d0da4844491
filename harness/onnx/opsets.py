"""Versions of the standard operators."""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper, version_converter

from harness.errors import ModelFileError
from harness.onnx.weightless import weightless, with_weights

_STANDARD = ("", "ai.onnx")
_IR_VERSION = {18: 8, 19: 9, 21: 10, 23: 11}
"""The oldest IR version that a file with the opset, or a newer one, has."""

_COORDINATES = 11
"""The opset since which Resize says how coordinates are meant."""


def opset_of(model: onnx.ModelProto, domain: str = "") -> int | None:
    """The version of a domain's operators, None when the model imports none of them."""
    names = _STANDARD if domain in _STANDARD else (domain,)
    return next((each.version for each in model.opset_import if each.domain in names), None)


def at_least(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """A copy at this version of the standard operators or a newer one; what it computes stays the same.

    Raises ModelFileError when onnx has no way, or when old nearest-neighbor resizing can not be said in new terms.
    """
    own = opset_of(model)
    if own is None or own >= version:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        # onnx copies a model several times, and looks at no large weight.
        converted = with_weights(version_converter.convert_version(weightless(model), version), model)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ModelFileError(f"opset {own} can not be brought to {version}: {why}; export the model with opset "
                             f"{version}") from error
    converted.ir_version = max([converted.ir_version, *(ir for opset, ir in _IR_VERSION.items() if opset <= version)])
    if own < _COORDINATES <= version:
        _say_coordinates(converted)
    return converted


def _say_coordinates(model: onnx.ModelProto) -> None:
    """Resize and Upsample of old opsets had one convention; the converter leaves them to the default of the new one.

    Raises ModelFileError for nearest neighbors unless they are known to be upsampled: shrinking rounded another way.
    """
    constants = {each.name: each for each in model.graph.initializer}
    constants.update({node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"})
    for node in model.graph.node:
        if node.op_type == "Resize":
            modes = [each.s for each in node.attribute if each.name == "mode"]
            scales = constants.get(node.input[2]) if len(node.input) > 2 else None
            if modes in ([], [b"nearest"]) and (scales is None or (numpy_helper.to_array(scales) < 1).any()):
                raise ModelFileError(f"node {node.name or node.output[0]!r} may shrink by nearest neighbors, which "
                                     f"opsets before {_COORDINATES} round in their own way; export it at opset 18 or "
                                     "newer")
            node.attribute.extend([helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
                                   helper.make_attribute("nearest_mode", "floor")])
