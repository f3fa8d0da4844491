"""What a rule sees of the node that it differentiates, and the means to append nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.onnx.gradient.errors import GradientError, label
from harness.onnx.gradient.graph import Graph, Shape, attributes_of


@dataclass(frozen=True)
class Context:
    """One node on the way back.

    cotangents: of each output, None where no gradient arrives (at least one does); needed: whether somebody asks for
    the gradient of each input. Tensors are named by str; names of forward and backward tensors mix freely.
    """

    graph: Graph
    node: onnx.NodeProto
    cotangents: tuple[str | None, ...]
    needed: tuple[bool, ...]

    @cached_property
    def inputs(self) -> tuple[str | None, ...]:
        """None for an optional input that is left out; reading beyond the last one: see `input`."""
        return tuple(name or None for name in self.node.input)

    @cached_property
    def outputs(self) -> tuple[str | None, ...]:
        return tuple(name or None for name in self.node.output)

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Only those that the node has; see `attribute`."""
        return attributes_of(self.node)

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def input(self, index: int) -> str | None:
        """The name of an input, None when it is left out or the node has fewer."""
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def x(self) -> str:
        """The first input."""
        return str(self.node.input[0])

    @property
    def y(self) -> str:
        """The first output."""
        return str(self.node.output[0])

    @property
    def dy(self) -> str:
        """The cotangent of the first output; raises GradientError when a gradient arrives at another output only."""
        if self.cotangents[0] is None:
            raise self.error("a gradient arrives at a secondary output only")
        return self.cotangents[0]

    def needs(self, index: int) -> bool:
        """Whether somebody asks for the gradient of an input; False for one that the node does not have."""
        return index < len(self.needed) and self.needed[index]

    def with_cotangent(self, dy: str) -> Context:
        """The same with another cotangent of the first output: for rules that wrap others."""
        return replace(self, cotangents=(dy, *self.cotangents[1:]))

    # -- Facts

    def shape(self, name: str) -> Shape | None:
        """Sizes, names of symbolic dimensions (equal names are equal sizes), None for unknown; None: rank unknown."""
        return self.graph.shape(name)

    def sizes(self, name: str) -> tuple[int, ...] | None:
        """The shape when all of it is known."""
        return self.graph.sizes(name)

    def rank(self, name: str) -> int:
        """Raises GradientError when it can not be inferred."""
        rank = self.graph.rank(name)
        if rank is None:
            raise self.error(f"the rank of {name!r} can not be inferred")
        return rank

    def value(self, name: str | None) -> NDArray[Any] | None:
        """Of a constant in this file, otherwise None."""
        return None if name is None else self.graph.value(name)

    def dtype(self, name: str) -> np.dtype[Any]:
        """Element type; float32 where it can not be inferred."""
        return self.graph.dtype(name) or np.dtype(np.float32)

    def onnx_type(self, name: str) -> int:
        """The element type as the operator Cast wants it."""
        return int(onnx.helper.np_dtype_to_tensor_dtype(self.dtype(name)))

    def error(self, what: str) -> GradientError:
        """To raise for a case that the rule does not cover."""
        return GradientError(f"the gradient of {self.node.op_type} can not be built at {label(self.node)}: {what}")

    # -- New nodes

    def op(self, op_type: str, *inputs: str | None, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output; returns its name. Attributes that are None are left out."""
        return self.graph.add(op_type, *inputs, domain=domain, **attributes)

    def ops(self, op_type: str, inputs: Sequence[str | None], outputs: int, **attributes: Any) -> tuple[str, ...]:
        """Append a node with several outputs."""
        return self.graph.add_all(op_type, inputs, outputs, **attributes)

    def number(self, value: float, like: str | None = None) -> str:
        """A scalar of the element type of `like`, by default the first input."""
        return self.graph.constant(value, self.dtype(like or self.x))

    def constant(self, value: Any, like: str | None = None) -> str:
        """A constant array of the element type of `like`, by default the first input."""
        return self.graph.constant(value, self.dtype(like or self.x))

    def ints(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.graph.constant(np.array(values, np.int64))

    def shape_of(self, name: str) -> str:
        """An int64 vector with the sizes of a forward tensor: a constant where they are known."""
        sizes = self.sizes(name)
        return self.op("Shape", name) if sizes is None else self.ints(*sizes)

    def zeros_like(self, name: str) -> str:
        """A tensor of zeros with the shape and element type of a forward tensor."""
        from onnx import numpy_helper

        zero = numpy_helper.from_array(np.zeros(1, self.dtype(name)))
        return self.op("ConstantOfShape", self.shape_of(name), value=zero)

    def reshaped_like(self, value: str, name: str) -> str:
        """`value` with the shape of the forward tensor `name`."""
        return self.op("Reshape", value, self.shape_of(name), allowzero=1)
