"""Floating-point operations of a graph, counted on its nodes: a multiplication and an addition are two.

Convolutions and matrix products are counted, on shapes that onnx infers; everything else costs little beside them and
is left out, as in most published numbers (which often count multiply-adds: half of this).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
from onnx import numpy_helper

from harness.card import ModelCard

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def gflop(path: Path, card: ModelCard) -> float | None:
    """Of one sample at the card's input size; None when a shape of a counted node can not be inferred."""
    size = (card.input.channels, *card.input.size)
    sample = size if card.input.layout == "NCHW" else (*size[1:], size[0])
    return _counted(path, lambda value: (1, *sample) if len(value.type.tensor_type.shape.dim) == 4 else None)


def gflop_of_feeds(path: Path, feeds: Shapes) -> float | None:
    """Of one query with inputs of these shapes; None as above."""
    return _counted(path, lambda value: feeds.get(value.name))


def _counted(path: Path, fed: Callable[[onnx.ValueInfoProto], Shape | None]) -> float | None:
    """fed: the shape of an input; None leaves it as the graph has it."""
    try:
        model = onnx.load(path, load_external_data=False)
        shapes = _shapes(_at_shapes(model, fed))
        return round(sum(_flop(node, shapes) for node in _nodes(model.graph)) / 1e9, 6)
    except (KeyError, ValueError, OSError, onnx.shape_inference.InferenceError):
        return None


def _at_shapes(model: onnx.ModelProto, fed: Callable[[onnx.ValueInfoProto], Shape | None]) -> onnx.ModelProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in weights or (shape := fed(value)) is None:
            continue
        for dim, length in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            dim.Clear()
            dim.dim_value = length
    for value in (*model.graph.output, *model.graph.value_info):  # declared for any batch, they would contradict
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return model


def _shapes(model: onnx.ModelProto) -> Shapes:
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            found.setdefault(value.name, tuple(dim.dim_value for dim in dims))
    for node in inferred.node:
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            found.setdefault(node.output[0], numpy_helper.to_array(node.attribute[0].t).shape)
    return found


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    return [node for node in graph.node if node.op_type in _COUNTED]


def _flop(node: onnx.NodeProto, shapes: Shapes) -> float:
    return 2.0 * _COUNTED[node.op_type](node, shapes)


def _conv(node: onnx.NodeProto, shapes: Shapes) -> float:
    weight = shapes[node.input[_WEIGHT[node.op_type]]]  # (out, in / groups, kernel...)
    return math.prod(shapes[node.output[0]]) * math.prod(weight[1:])


def _conv_transpose(node: onnx.NodeProto, shapes: Shapes) -> float:
    weight = shapes[node.input[1]]  # (in, out / groups, kernel...)
    return math.prod(shapes[node.input[0]]) * math.prod(weight[1:])


def _matmul(node: onnx.NodeProto, shapes: Shapes) -> float:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _gemm(node: onnx.NodeProto, shapes: Shapes) -> float:
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]


_WEIGHT = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_COUNTED: Mapping[str, Callable[[onnx.NodeProto, Shapes], float]] = {
    "Conv": _conv, "ConvInteger": _conv, "QLinearConv": _conv, "ConvTranspose": _conv_transpose, "MatMul": _matmul,
    "MatMulInteger": _matmul, "Gemm": _gemm,
}
