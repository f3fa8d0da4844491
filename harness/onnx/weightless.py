"""Graphs without their weights, for tools of onnx that copy a model several times to look at its nodes."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import onnx
from onnx import TensorProto, helper

_SMALL = 1 << 10
"""Bytes of an initializer that stays: axes, shapes, scalars, whose values tools look at."""


def weightless(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every large initializer is an input of the same name, type and shape."""
    copy = onnx.ModelProto()
    _merge(model, copy, skip=("graph",))
    _merge(model.graph, copy.graph, skip=("initializer",))
    inputs = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if not _is_large(tensor):
            copy.graph.initializer.append(tensor)
        elif tensor.name not in inputs:
            copy.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return copy


def with_weights(model: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """The model, made from `weightless(source)`, with the initializers of `source` back in place."""
    large = {tensor.name for tensor in source.graph.initializer if _is_large(tensor)}
    inputs = {value.name for value in source.graph.input}
    kept = [value for value in model.graph.input if value.name not in large or value.name in inputs]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(tensor for tensor in source.graph.initializer if tensor.name in large)
    return model


def _is_large(tensor: TensorProto) -> bool:
    return bool(tensor.ByteSize() > _SMALL)


def _merge(source: Any, target: Any, skip: Container[str]) -> None:
    """Copy the fields of a message but those of some names."""
    for field, value in source.ListFields():
        if field.name in skip:
            continue
        if isinstance(value, int | float | str | bytes):
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).MergeFrom(value)
