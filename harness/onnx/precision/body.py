"""Which nodes of a graph are the network proper, and may be computed with fewer bits.

Decoding stays in float32: positions and log-odds have more significant digits than float16 or int8 hold, and it costs
little. It is what no layer with weights follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import ModelFileError

if TYPE_CHECKING:
    import onnx

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators with weights, which take nearly all of the time."""


class Body(NamedTuple):
    """Names of nodes in graph order. weighted: with weights; carried: what lies between them."""

    weighted: tuple[str, ...]
    carried: tuple[str, ...]


def find_body(model: onnx.ModelProto) -> Body:
    """The network proper of a graph whose nodes all have names (`prepare.prepared`).

    Weights are initializers. Raises ModelFileError when the graph has none.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    weighted = {node.name for node in model.graph.node if has_weights(node, constants)}
    carried: set[str] = set()
    for node in reversed(model.graph.node):  # a graph's nodes are in topological order
        following = [each.name for name in node.output for each in consumers.get(name, ())]
        if node.name not in weighted and any(name in weighted or name in carried for name in following):
            carried.add(node.name)
    if not weighted:
        raise ModelFileError("the graph has no layer with weights as initializers, there is nothing to quantize")
    names = [node.name for node in model.graph.node]
    return Body(tuple(name for name in names if name in weighted), tuple(name for name in names if name in carried))


def has_weights(node: onnx.NodeProto, constants: set[str]) -> bool:
    """Whether the node is a layer: an operator of WEIGHTED on data and a constant."""
    inputs = node.input
    return (node.op_type in WEIGHTED and len(inputs) > 1 and inputs[1] in constants and inputs[0] not in constants)


def ends(model: onnx.ModelProto, body: Body) -> list[str]:
    """Tensors that the last layers give: what everything after the network proper is computed from."""
    kept = {*body.weighted, *body.carried}
    inner = {name for node in model.graph.node if node.name in kept for name in node.input}
    return [node.output[0] for node in nodes_of(model, body.weighted) if node.output[0] not in inner]


def nodes_of(model: onnx.ModelProto, names: tuple[str, ...]) -> Iterator[onnx.NodeProto]:
    """The nodes with these names, in graph order."""
    wanted = set(names)
    return (node for node in model.graph.node if node.name in wanted)


def weights_of(model: onnx.ModelProto) -> Mapping[str, onnx.TensorProto]:
    """Initializers by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}
