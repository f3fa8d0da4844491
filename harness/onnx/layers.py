"""Which tensor of a graph class activation methods explain: found by a rule, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from harness.errors import ModelFileError

if TYPE_CHECKING:
    import onnx

ACTIVATIONS = frozenset({"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu",
                         "Relu", "Selu", "Sigmoid", "Softplus", "Swish", "ThresholdedRelu"})
"""Operators whose output is an activation."""


def last_spatial_activation(model: onnx.ModelProto, output: str) -> str:
    """The name of the activation that is nearest to `output` among those that everything passes through.

    That is a tensor (N, C, h, w) with h * w > 1, made by one of ACTIVATIONS, on every path from the graph's inputs to
    the output: nothing that decides about the output bypasses it. Raises ModelFileError when there is none.
    """
    shapes = _shapes(model)
    producers = {name: node for node in model.graph.node for name in node.output}
    data = _reachable(model)
    for name in _backward(output, producers):
        node = producers[name]
        spatial = name in data and node.op_type in ACTIVATIONS and _spatial(shapes.get(name))
        if spatial and _cuts(name, output, producers, model):
            return name
    raise ModelFileError(f"no activation (N, C, h, w) of the graph is on every path to {output!r}; name the layer to "
                         "explain in `cam_layer`")


def cuts(model: onnx.ModelProto, tensor: str, output: str) -> bool:
    """Whether a tensor is on every path from the graph's inputs to one of its outputs."""
    producers = {name: node for node in model.graph.node for name in node.output}
    return tensor in producers and _cuts(tensor, output, producers, model)


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Give an inner tensor another name. Raises ModelFileError when the new name is taken."""
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    if new in taken | {value.name for value in (*graph.input, *graph.output, *graph.initializer)}:
        raise ModelFileError(f"the graph has a tensor named {new!r} already")
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for value in graph.value_info:
        if value.name == old:
            value.name = new


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """By tensor, as far as they can be inferred; None for a dimension that is symbolic or unknown."""
    import onnx

    types = {value.name: value.type.tensor_type for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    return {name: [dim.dim_value if dim.HasField("dim_value") else None for dim in type_.shape.dim]
            for name, type_ in types.items() if type_.HasField("shape")}


def _spatial(shape: list[int | None] | None) -> bool:
    return shape is not None and len(shape) == 4 and (None in shape[2:] or shape[2:] != [1, 1])


def _reachable(model: onnx.ModelProto) -> set[str]:
    """Tensors that depend on an input; the nodes of a graph are in topological order."""
    constants = {each.name for each in model.graph.initializer}
    known = {value.name for value in model.graph.input} - constants
    for node in model.graph.node:
        if any(name in known for name in node.input):
            known.update(node.output)
    return known


def _backward(output: str, producers: Mapping[str, onnx.NodeProto]) -> Iterable[str]:
    """Computed tensors from the output back, nearest first."""
    queue, seen = [output], {output}
    for name in queue:
        if name in producers:
            yield name
            new = [each for each in producers[name].input if each not in seen]
            seen.update(new)
            queue.extend(new)


def _cuts(name: str, output: str, producers: Mapping[str, onnx.NodeProto], model: onnx.ModelProto) -> bool:
    """Whether no input reaches the output without passing through the tensor."""
    without = {each: node for each, node in producers.items() if each != name}
    leaves = {each for tensor in _backward(output, without) for each in without[tensor].input}
    constants = {each.name for each in model.graph.initializer}
    return not leaves & ({value.name for value in model.graph.input} - constants)
