"""Which scalar of each sample is differentiated: how the backward pass starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.onnx.gradient.errors import GradientError
from harness.onnx.gradient.graph import Graph


class Cotangent(Protocol):
    """Appends a tensor of the shape of `output`: the derivative of the scalars by it."""

    def append(self, graph: Graph, output: str) -> str: ...


@dataclass(frozen=True)
class ClassIndex:
    """output[n, class[n]] of an output (N, K): the class is a graph input (N,) int64.

    An index outside of [-K, K) is an error of the runtime, never a map of zeros. Of an output (N, K, ...) the sum over
    the further dimensions, e.g. the pixels of a segmentation.
    """

    input: str = "class"

    def append(self, graph: Graph, output: str) -> str:
        shape = graph.shape(output)
        index = graph.add_input(self.input, np.int64, (shape[0] if shape else None,))
        return one_hot(graph, output, index)


@dataclass(frozen=True)
class ArgMax:
    """The largest value of each sample of an output (N, K); the lowest index of several."""

    def append(self, graph: Graph, output: str) -> str:
        _rank(graph, output, exactly=2)
        return one_hot(graph, output, graph.add("ArgMax", output, axis=1, keepdims=0))


@dataclass(frozen=True)
class Fed:
    """The cotangent is a graph input of the shape and type of the output: any weighted sum of output values."""

    input: str = "cotangent"

    def append(self, graph: Graph, output: str) -> str:
        return graph.add_input(self.input, graph.dtype(output) or np.float32, graph.shape(output))


@dataclass(frozen=True)
class Ones:
    """The sum of all output values of each sample."""

    def append(self, graph: Graph, output: str) -> str:
        one = graph.constant(1, graph.dtype(output) or np.float32)
        return graph.add("Expand", one, graph.add("Shape", output))


@dataclass(frozen=True)
class Tensor:
    """A tensor that is in the graph already."""

    name: str

    def append(self, graph: Graph, output: str) -> str:  # noqa: ARG002
        graph.require(self.name, "cotangent")
        return self.name


def one_hot(graph: Graph, output: str, index: str) -> str:
    """Ones at output[n, index[n]], zeros elsewhere. Scattered, because OneHot accepts any index in silence."""
    rank = _rank(graph, output)
    dtype = graph.dtype(output) or np.dtype(np.float32)
    shape = graph.add("Shape", output)
    zeros = graph.add("Expand", graph.constant(0, dtype), shape)
    further = list(range(1, rank))
    rows = graph.add("Unsqueeze", index, graph.constant(further, np.int64))
    if rank > 2:
        ones = graph.add("Concat", graph.add("Slice", shape, *_ints(graph, 0, 1)), graph.constant([1], np.int64),
                         graph.add("Slice", shape, *_ints(graph, 2, rank)), axis=0)
        rows = graph.add("Expand", rows, ones)
    updates = graph.add("Expand", graph.constant(1, dtype), graph.add("Shape", rows))
    return graph.add("ScatterElements", zeros, rows, updates, axis=1)


def _ints(graph: Graph, *values: int) -> list[str]:
    return [graph.constant([value], np.int64) for value in values]


def _rank(graph: Graph, output: str, exactly: int | None = None) -> int:
    rank = graph.rank(output)
    if rank is None or rank < 2 or (exactly and rank != exactly):
        wanted = "(N, K)" if exactly else "(N, K) or (N, K, ...)"
        raise GradientError(f"a class of {output!r} can be explained when its shape is {wanted}, it is "
                            f"{'unknown' if rank is None else graph.shape(output)}; choose another output or cotangent")
    return rank
