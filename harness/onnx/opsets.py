"""Versions of the standard operators."""

from __future__ import annotations

import onnx
from onnx import version_converter

from harness.errors import ModelFileError

_STANDARD = ("", "ai.onnx")
_IR_VERSION = {18: 8, 19: 9, 21: 10, 23: 11}
"""The oldest IR version that a file with the opset, or a newer one, has."""


def opset_of(model: onnx.ModelProto, domain: str = "") -> int | None:
    """The version of a domain's operators, None when the model imports none of them."""
    names = _STANDARD if domain in _STANDARD else (domain,)
    return next((each.version for each in model.opset_import if each.domain in names), None)


def at_least(model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """A copy at this version of the standard operators or a newer one. Raises ModelFileError when onnx has no way."""
    own = opset_of(model)
    if own is None or own >= version:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        converted: onnx.ModelProto = version_converter.convert_version(model, version)
    except RuntimeError as error:
        raise ModelFileError(f"opset {own} can not be brought to {version}: {str(error).splitlines()[0]}; export the "
                             f"model with opset {version}") from error
    converted.ir_version = max(converted.ir_version, *(ir for opset, ir in _IR_VERSION.items() if opset <= version))
    return converted
