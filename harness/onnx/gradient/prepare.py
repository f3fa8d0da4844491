"""What is done to a graph before it is differentiated."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import inliner

from harness.errors import ModelFileError
from harness.onnx.gradient.errors import GradientError
from harness.onnx.opsets import at_least
from harness.onnx.simplify import UnknownTensor, simplify

OPSET = 18
"""Oldest version of the standard operators that rules know: reductions take their axes as an input."""


def prepare(model: onnx.ModelProto, *, keep: Sequence[str] = (), fold_batch_norm: bool = False) -> onnx.ModelProto:
    """A simplified copy at opset 18 or newer, see `simplify`.

    keep: inner tensors that have to stay, e.g. those to differentiate by. fold_batch_norm: merge BatchNormalization
    into the convolution before it, unless its output is to be kept; those weights are not the file's any more.
    Raises GradientError for a name in `keep` that is not a tensor of the graph, and when onnx can not convert the graph
    to a newer opset; ModelFileError as `simplify`.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    try:
        return simplify(upgraded(model), fold_batch_norm=fold_batch_norm, keep=keep)
    except UnknownTensor as error:
        raise GradientError(str(error)) from error


def upgraded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy at opset 18 or newer of the standard domain."""
    try:
        return at_least(model, OPSET)
    except ModelFileError as error:
        raise GradientError(f"the gradient rules need newer operators: {error}") from error
