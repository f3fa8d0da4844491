"""Recognizes global average pooling with a linear layer behind it: what class activation mapping needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from harness.api import Graph, ModelFileError
from harness_saliency.maps import over_axes

_SHAPES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Between the pooling and the scores there is one value per channel: whatever the shape, its order is the same."""
_HELP = 'class activation mapping needs one; use "grad-cam", which works for any network'


@dataclass(frozen=True, slots=True)
class PooledHead:
    """scores = linear(mean over height and width of `activations` (N, C, h, w)).

    linear: the node, None where the pooled channels are the scores.
    """

    activations: str
    linear: onnx.NodeProto | None

    def weights(self, graph: Graph, class_index: str) -> str:
        """Name of (N, C, 1, 1): the weight of each channel for the class of each sample."""
        if self.linear is None:
            raise ValueError("a head without linear layer has no weights")
        matrix, axis = _matrix(graph, self.linear)
        rows = graph.add("Gather", matrix, class_index, axis=axis)
        rows = graph.add("Transpose", rows, perm=[1, 0]) if axis else rows
        return graph.add("Unsqueeze", rows, graph.constant(np.array([2, 3], np.int64)))

    def weighted_sum(self, graph: Graph, class_index: str) -> str:
        """Name of (N, h, w) float32: the class activation map of each sample's class."""
        if self.linear is None:
            index = graph.add("Unsqueeze", class_index, graph.constant(np.array([1, 2, 3], np.int64)))
            shape = graph.add("Concat", graph.add("Shape", class_index), graph.constant(np.array([1], np.int64)),
                              graph.add("Shape", self.activations, start=2, end=4), axis=0)
            chosen = graph.add("GatherElements", self.activations, graph.add("Expand", index, shape), axis=1)
            return graph.float32(graph.add("Squeeze", chosen, graph.constant(np.array([1], np.int64))))
        product = graph.add("Mul", graph.float32(self.activations), graph.float32(self.weights(graph, class_index)))
        return over_axes(graph, "ReduceSum", product, [1])


def pooled_head(graph: Graph, scores: str) -> PooledHead:
    """The head of a network. Raises ModelFileError, which names the node that does not belong, when it is another."""
    linear: onnx.NodeProto | None = None
    tensor = scores
    while True:
        node = graph.producer(tensor)
        if node is None:
            raise ModelFileError(f"no global average pooling leads to {scores!r}: {_HELP}")
        data = [name for name in node.input if name and not graph.is_constant(name)]
        if node.op_type in _SHAPES or (linear is None and node.op_type == "Add" and len(data) == 1):
            tensor = data[0]
        elif _is_pooling(graph, node):
            return PooledHead(node.input[0], linear)
        elif linear is None and _is_linear(graph, node):
            linear, tensor = node, node.input[0]
        else:
            raise ModelFileError(f"node {node.name!r} ({node.op_type}) that makes {tensor!r} is no part of a head of "
                                 f"global average pooling and one linear layer: {_HELP}")


def _is_linear(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type == "Conv":
        shape = graph.shape(node.input[1]) or ()
        return shape[2:] == (1, 1) and _attribute(node, "group", 1) == 1
    if node.op_type == "Gemm":
        return _attribute(node, "transA", 0) == 0 and graph.is_constant(node.input[1])
    return node.op_type == "MatMul" and graph.is_constant(node.input[1])


def _is_pooling(graph: Graph, node: onnx.NodeProto) -> bool:
    """Over all of the height and width of (N, C, h, w)."""
    if node.op_type == "GlobalAveragePool":
        return True
    shape = graph.shape(node.input[0])
    if shape is None or len(shape) != 4:
        return False
    if node.op_type == "ReduceMean":
        axes = graph.value(node.input[1]) if len(node.input) > 1 else None
        return axes is not None and sorted(int(axis) % 4 for axis in axes) == [2, 3]
    whole = tuple(_attribute(node, "kernel_shape", ())) == shape[2:] and not any(_attribute(node, "pads", ()))
    return node.op_type == "AveragePool" and whole


def _matrix(graph: Graph, linear: onnx.NodeProto) -> tuple[str, int]:
    """The weights as a matrix, and the axis of its classes."""
    name = linear.input[1]
    if linear.op_type == "Conv":
        return graph.add("Flatten", name, axis=1), 0
    alpha = _attribute(linear, "alpha", 1.0) if linear.op_type == "Gemm" else 1.0
    if alpha != 1.0:
        name = graph.add("Mul", name, graph.constant(alpha, graph.dtype(name)))
    return name, 0 if _attribute(linear, "transB", 0) else 1


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)
