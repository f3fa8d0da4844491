"""Which tensor of a graph class activation methods explain: found by a rule, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from harness.errors import ModelFileError
from harness.onnx.interface import shape_text
from harness.onnx.reads import reads

if TYPE_CHECKING:
    import onnx

ACTIVATIONS = frozenset({"Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu",
                         "Relu", "Selu", "Sigmoid", "Softplus", "Swish", "ThresholdedRelu"})
"""Operators whose output is an activation."""
_GATES = frozenset({*ACTIVATIONS, "Erf", "Tanh"})
"""What makes an activation of a product, e.g. x * Sigmoid(x)."""
_ELEMENTWISE = frozenset({*_GATES, "Add", "Div", "Exp", "Log", "Mul", "Neg", "Pow", "Sub"})
_NORMALIZATIONS = frozenset({"BatchNormalization", "GroupNormalization", "InstanceNormalization"})
_NAMED = 4

Shape = tuple[int | None, ...]


class Layer(NamedTuple):
    """A tensor (N, C, h, w) that can be explained.

    operator: what makes it; shape: None for a size that is symbolic or unknown; activation: whether it is one.
    """

    name: str
    operator: str
    shape: Shape
    activation: bool


def last_spatial_activation(model: onnx.ModelProto, output: str) -> str:
    """The name of the activation that is nearest to `output` among those that everything passes through.

    That is a tensor (N, C, h, w) with h * w > 1, made by one of ACTIVATIONS or by elementwise nodes that are one
    together (x * Sigmoid(x)), on every path from the graph's inputs to the output: nothing that decides about the
    output bypasses it. Where residual connections bypass all of them there is no such tensor, and none is guessed.
    Raises ModelFileError when there is none; the message names what could be explained.
    """
    layers = spatial_layers(model, output)
    for layer in layers:
        if layer.activation:
            return layer.name
    others = ", ".join(f"{layer.name!r} ({layer.operator}, {shape_text(layer.shape)})" for layer in layers[:_NAMED])
    raise ModelFileError(f"no activation (N, C, h, w) of the graph is on every path to {output!r}; name the layer to "
                         f"explain in `cam_layer`{', e.g. ' + others if others else ''}")


def spatial_layers(model: onnx.ModelProto, output: str) -> list[Layer]:
    """Tensors (N, C, h, w), h * w > 1, that everything passes through on the way to `output`; nearest to it first.

    Without those that only lead to a normalization or to the activation that follows: that is the better choice.
    """
    view = _View(model)
    names = [name for name in _backward(output, view.producers)
             if name in view.data and _spatial(view.shapes.get(name)) and view.cuts(name, output)]
    unfinished = {inner for name in names for inner in view.leading_to(name)}
    return [Layer(name, view.producers[name].op_type, view.shapes[name], view.is_activation(name))
            for name in names if name not in unfinished]


def cuts(model: onnx.ModelProto, tensor: str, output: str) -> bool:
    """Whether a tensor is on every path from the graph's inputs to one of its outputs."""
    view = _View(model)
    return tensor in view.producers and view.cuts(tensor, output)


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


class _View:
    """A graph as this module reads it. data: tensors that depend on an input."""

    def __init__(self, model: onnx.ModelProto) -> None:
        nodes = model.graph.node
        self.inputs = {value.name for value in model.graph.input} - {each.name for each in model.graph.initializer}
        self.producers: dict[str, onnx.NodeProto] = {name: node for node in nodes for name in node.output if name}
        self.data = set(self.inputs)
        for node in nodes:  # in topological order
            if any(name in self.data for name in reads(node)):
                self.data.update(node.output)
        self.shapes = _shapes(model)
        self.scalars = _scalars(model)

    def cuts(self, name: str, output: str) -> bool:
        """Whether no input reaches the output without passing through the tensor."""
        without = {each: node for each, node in self.producers.items() if each != name}
        leaves = {each for tensor in _backward(output, without) for each in reads(without[tensor])}
        return not leaves & self.inputs

    def is_activation(self, name: str) -> bool:
        return self.producers[name].op_type in ACTIVATIONS or bool(self._function_of_one(name))

    def leading_to(self, name: str) -> Sequence[str]:
        """What only prepares a tensor: the input of a normalization or activation, the parts of a written-out one."""
        node = self.producers[name]
        return self._function_of_one(name) or node.input[: node.op_type in ACTIVATIONS | _NORMALIZATIONS]

    def _function_of_one(self, name: str) -> list[str]:
        """The tensors from which elementwise nodes make an activation, back to its only source; else none."""
        seen, sources, gated = [name], 0, False
        for tensor in seen:
            node = self.producers.get(tensor)
            if node is None or node.op_type not in _ELEMENTWISE:
                sources += 1
                continue
            gated |= node.op_type in _GATES
            data = node.input[:1] if node.op_type in ACTIVATIONS else node.input
            seen += [each for each in data if each not in self.scalars and each not in seen]
        return seen[1:] if gated and sources == 1 else []


def _scalars(model: onnx.ModelProto) -> set[str]:
    """Constants with one value."""
    found = {each.name for each in model.graph.initializer if all(dim == 1 for dim in each.dims)}
    for node in model.graph.node:
        if node.op_type == "Constant" and all(dim == 1 for each in node.attribute for dim in each.t.dims):
            found.update(node.output)
    return found


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """By tensor, as far as they can be inferred; None for a dimension that is symbolic or unknown."""
    import onnx

    types = {value.name: value.type.tensor_type for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    return {name: tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in type_.shape.dim)
            for name, type_ in types.items() if type_.HasField("shape")}


def _spatial(shape: Shape | None) -> bool:
    return shape is not None and len(shape) == 4 and (None in shape[2:] or shape[2:] != (1, 1))


def _backward(output: str, producers: Mapping[str, onnx.NodeProto]) -> Iterable[str]:
    """Computed tensors from the output back, nearest first."""
    queue, seen = [output], {output}
    for name in queue:
        if name in producers:
            yield name
            new = [each for each in reads(producers[name]) if each not in seen]
            seen.update(new)
            queue.extend(new)
