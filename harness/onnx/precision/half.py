"""float16: half the bytes; faster where the hardware computes with it (GPUs), slower where it does not (most CPUs).

onnxruntime's own converter rounds to float16 between any two nodes that are to stay in float32, which costs a decoder
its digits. Here values change their type only where the network proper begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from harness.onnx.precision.body import WEIGHTED, find_body, nodes_of, weights_of

if TYPE_CHECKING:
    import onnx

HALF = WEIGHTED | {"Add", "AveragePool", "Clip", "Concat", "Div", "Elu", "Flatten", "Gelu", "GlobalAveragePool",
                   "HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "PRelu", "Pad", "Relu", "Reshape",
                   "Sigmoid", "Softmax", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze"}
"""Operators that are computed in float16; sums over many values (normalization) and resizing stay in float32.

All of them give in their first output what type their float inputs have, whichever of these are there.
"""
_OF_SHAPE = frozenset({"Shape", "Size"})
_TO_HALF, _TO_FLOAT = ".half", ".float"


def to_half(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """The network proper in float16, inputs, outputs and decoding in float32; and the nodes that stayed in float32.

    model: as `prepare.prepared` gives it. Weights beyond the range of float16 are clipped to it. Raises ModelFileError
    when nothing can be converted.
    """
    result = deepcopy(model)
    graph, body = result.graph, find_body(result)
    values = _values(result)
    chosen = {node.name for node in nodes_of(result, (*body.weighted, *body.carried))
              if node.op_type in HALF and not values.isdisjoint(node.input)}
    converter = _Converter(result, chosen)
    nodes = [made for node in graph.node for made in converter.node(node)]
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in (*graph.initializer, *converter.constants) if tensor.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]  # the types there were those before
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    return result, [node.name for node in model.graph.node if node.name not in chosen]


class _Converter:
    """Rewrites node after node in graph order. halves: float tensors that are float16 now."""

    def __init__(self, model: onnx.ModelProto, chosen: set[str]) -> None:
        self._chosen = chosen
        self._weights = weights_of(model)
        self._floats = _float_tensors(model)
        self._outputs = {value.name for value in model.graph.output}
        self._halves: set[str] = set()
        self._made: set[str] = set()
        self.constants: list[onnx.TensorProto] = []

    def node(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The node on tensors of its type, between the casts that it needs."""
        half = node.name in self._chosen and any(name in self._floats or name in self._halves for name in node.input)
        for index, name in enumerate(node.input):
            if half and name in self._floats and name not in self._halves:
                yield from self._cast(name, name + _TO_HALF)
                node.input[index] = name + _TO_HALF
            elif not half and name in self._halves:
                yield from self._cast(name, name + _TO_FLOAT)
                node.input[index] = name + _TO_FLOAT
        yield node
        if half:
            yield from self._result_of(node)

    def _result_of(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The graph's own outputs stay float32 under their names; later nodes read them as they read an input."""
        name = node.output[0]  # another one is MaxPool's, of indices
        if name in self._outputs:
            node.output[0] = name + _TO_HALF
            self._made.add(name + _TO_HALF)
            yield from self._cast(name + _TO_HALF, name)
        else:
            self._halves.add(name)

    def _cast(self, name: str, target: str) -> Iterator[onnx.NodeProto]:
        from onnx import TensorProto, helper, numpy_helper

        if target in self._made:
            return
        self._made.add(target)
        half = target.endswith(_TO_HALF)
        if half and name in self._weights:
            limit = np.finfo(np.float16).max
            values = numpy_helper.to_array(self._weights[name]).clip(-limit, limit).astype(np.float16)
            self.constants.append(numpy_helper.from_array(values, target))
            return
        yield helper.make_node("Cast", [name], [target], name=f"{target}.cast",
                               to=TensorProto.FLOAT16 if half else TensorProto.FLOAT)


def _values(model: onnx.ModelProto) -> set[str]:
    """Names of what is computed from the values of the inputs, not from their shape: lengths need all their digits."""
    found = {value.name for value in model.graph.input} - set(weights_of(model))
    for node in model.graph.node:  # in topological order
        if node.op_type not in _OF_SHAPE and not found.isdisjoint(node.input):
            found.update(node.output)
    return found


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of all float32 tensors of a graph with inferred types."""
    from onnx import TensorProto

    graph = model.graph
    values = {value.name for value in (*graph.input, *graph.output, *graph.value_info)
              if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return values | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
