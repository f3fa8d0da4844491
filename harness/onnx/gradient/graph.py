"""An ONNX graph under construction: what is known of its tensors, and new nodes at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.errors import did_you_mean
from harness.onnx.gradient.errors import GradientError
from harness.onnx.weightless import weightless

Dim = int | str | None
"""A dimension: its size, the name of a symbolic one (equal names are equal sizes), None when nothing is known."""
Shape = tuple[Dim, ...]


class Graph:
    """Appends nodes, constants, inputs and outputs to a model, in place.

    model: at opset 18 or newer (see `prepare`); shapes are inferred once, from the model as it is given.
    prefix: starts the names of all tensors and nodes that are made here; taken names get a number.
    """

    def __init__(self, model: onnx.ModelProto, prefix: str = "backward") -> None:
        self.model, self.prefix = model, prefix
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output if name}
        self._facts = _facts(model)
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._values: dict[str, NDArray[Any] | None] = {}
        self._taken = {*self._initializers, *self._producers, *(node.name for node in model.graph.node),
                       *(value.name for value in model.graph.input), *(value.name for value in model.graph.output)}

    # -- What is known

    @property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        """In topological order."""
        return tuple(self.model.graph.node)

    def has(self, name: str) -> bool:
        return name in self._taken and (name in self._producers or name in self._initializers or name in self.inputs)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What has to be fed, without initializers."""
        return tuple(value.name for value in self.model.graph.input if value.name not in self._initializers)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; None for inputs and initializers."""
        return self._producers.get(name)

    def shape(self, name: str) -> Shape | None:
        """None when not even the rank is known."""
        return self._facts[name][1] if name in self._facts else None

    def rank(self, name: str) -> int | None:
        shape = self.shape(name)
        return None if shape is None else len(shape)

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """The shape when all of it is known."""
        shape = self.shape(name)
        if shape is None:
            return None
        sizes = tuple(dim for dim in shape if isinstance(dim, int))
        return sizes if len(sizes) == len(shape) else None

    def dtype(self, name: str) -> np.dtype[Any] | None:
        return self._facts[name][0] if name in self._facts else None

    def value(self, name: str) -> NDArray[Any] | None:
        """Of an initializer or Constant node; None when it is computed, fed, or not in this file (external data)."""
        if name not in self._values:
            self._values[name] = self._value(name)
        return self._values[name]

    def is_constant(self, name: str) -> bool:
        """Whether it is an initializer or made by a Constant node, wherever its data is."""
        node = self._producers.get(name)
        return name in self._initializers or (node is not None and node.op_type == "Constant")

    def _value(self, name: str) -> NDArray[Any] | None:
        tensor = self._initializers.get(name)
        node = self._producers.get(name)
        if node is not None and node.op_type == "Constant":
            attribute = node.attribute[0]
            if attribute.name != "value":
                return np.asarray(helper.get_attribute_value(attribute))
            tensor = attribute.t
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)

    # -- Additions

    def add(self, op_type: str, *inputs: str | None, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        return self.add_all(op_type, inputs, 1, domain=domain, **attributes)[0]

    def add_all(self, op_type: str, inputs: Sequence[str | None], outputs: int, *, domain: str = "",
                **attributes: Any) -> tuple[str, ...]:
        """Append a node with any number of outputs; None is an input left out."""
        names = self._names(op_type, outputs)
        node = helper.make_node(op_type, [name or "" for name in inputs], names, name=names[0], domain=domain,
                                **{key: value for key, value in attributes.items() if value is not None})
        while node.input and not node.input[-1]:
            node.input.pop()
        self.append(node)
        return names

    def append(self, node: onnx.NodeProto) -> None:
        """Append a finished node, whose outputs have names from `unique`."""
        self.model.graph.node.append(node)
        self._producers.update(dict.fromkeys(filter(None, node.output), self.model.graph.node[-1]))

    def float32(self, name: str) -> str:
        """A tensor in float32, for sums that float16 is too coarse for; itself where it is known to be that."""
        if self.dtype(name) == np.float32:
            return name
        cast = self.add("Cast", name, to=TensorProto.FLOAT)
        self.declare(cast, np.float32, self.shape(name))
        return cast

    def constant(self, value: Any, dtype: Any = None) -> str:
        """The name of an initializer with this value; equal ones are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.unique(f"{self.prefix}.constant")
            self.model.graph.initializer.append(numpy_helper.from_array(array, name))
            self._initializers[name] = self.model.graph.initializer[-1]
            self._facts[name] = (array.dtype, array.shape)
            self._constants[key] = name
        return self._constants[key]

    def declare(self, name: str, dtype: Any, shape: Shape | None) -> None:
        """Say what is known of a tensor that was added."""
        self._facts[name] = (np.dtype(dtype), shape)

    def add_input(self, name: str, dtype: Any, shape: Shape | None) -> str:
        """A further graph input. Raises GradientError when the name is taken."""
        if name in self._taken:
            raise GradientError(f"the graph has a tensor named {name!r} already; give the new input another name")
        self._taken.add(name)
        self.model.graph.input.append(_value_info(name, dtype, shape))
        self.declare(name, dtype, shape)
        return name

    def add_output(self, tensor: str, name: str, dtype: Any, shape: Shape | None) -> str:
        """Make a tensor a graph output under the name `name`. Raises GradientError when the name is taken."""
        if name != tensor:
            if name in self._taken:
                raise GradientError(f"the graph has a tensor named {name!r} already; give the output another name")
            self._taken.add(name)
            node = helper.make_node("Identity", [tensor], [name], name=name)
            self.model.graph.node.append(node)
            self._producers[name] = self.model.graph.node[-1]
        if all(name != value.name for value in self.model.graph.output):
            self.model.graph.output.append(_value_info(name, dtype, shape))
        self.declare(name, dtype, shape)
        return name

    def unique(self, name: str) -> str:
        """`name`, or with a number behind it; taken from now on."""
        number, candidate = 1, name
        while candidate in self._taken:
            number += 1
            candidate = f"{name}.{number}"
        self._taken.add(candidate)
        return candidate

    def _names(self, op_type: str, count: int) -> tuple[str, ...]:
        first = self.unique(f"{self.prefix}.{op_type}")
        return (first, *(self.unique(f"{first}:{index}") for index in range(1, count)))

    def require(self, name: str, what: str) -> None:
        """Raises GradientError, with a suggestion, unless there is a tensor of this name."""
        if not self.has(name):
            raise GradientError(f"{what} {name!r} is not a tensor of the graph{did_you_mean(name, self._taken)}")


def _facts(model: onnx.ModelProto) -> dict[str, tuple[np.dtype[Any] | None, Shape | None]]:
    graph = onnx.shape_inference.infer_shapes(weightless(model), data_prop=True).graph
    facts: dict[str, tuple[np.dtype[Any] | None, Shape | None]] = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        if value.type.HasField("tensor_type"):
            tensor = value.type.tensor_type
            known = tensor.elem_type and helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            facts[value.name] = (known or None, _shape(tensor.shape) if tensor.HasField("shape") else None)
    for initializer in model.graph.initializer:
        facts[initializer.name] = (helper.tensor_dtype_to_np_dtype(initializer.data_type), tuple(initializer.dims))
    return facts


def _shape(proto: onnx.TensorShapeProto) -> Shape:
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in proto.dim)


def _value_info(name: str, dtype: Any, shape: Shape | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def made_by(node: onnx.NodeProto) -> str:
    """The first tensor that a node makes: no other node has it, so that it identifies the node."""
    return next(filter(None, node.output), "")


def attributes_of(node: onnx.NodeProto) -> Mapping[str, Any]:
    """Attribute values by name; strings as str."""
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}
