"""Eigen-CAM (Muhammad and Yeasin 2020): one forward pass, no gradient, no class."""

from __future__ import annotations

import numpy as np
import onnx

from harness.api import ExplainerDraft, Graph, ModelCard, Rules
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import EigenCamParams
from harness_saliency.maps import over_axes, signed, upsampled


class EigenCam(NoFeeds):
    """map = A v, v the first right singular vector of A, the layer as a matrix (h w, C); the class plays no role.

    Muhammad and Yeasin 2020, equation 3. A singular vector has no sign: here the map's largest absolute value is
    positive. v comes from power iterations: the smaller Gram matrix of A is squared again and again.
    """

    def __init__(self, params: EigenCamParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, rules, needs_layer=True)
        nodes = draft.graph
        layer = nodes.float32(draft.layer)
        rows = nodes.add("Reshape", layer, nodes.constant(np.array([0, 0, -1], np.int64)))  # (N, C, h w)
        if self.params.center:
            rows = nodes.add("Sub", rows, over_axes(nodes, "ReduceMean", rows, [2], keep=True))
        projection = first_projection(nodes, rows, _fewer_pixels(draft), self.params.squarings)
        shape = nodes.add("Concat", nodes.add("Shape", layer, start=0, end=1), nodes.add("Shape", layer, start=2),
                          axis=0)
        layer_map = signed(nodes, nodes.add("Reshape", projection, shape), self.params.sign)
        return draft.finish(upsampled(draft, layer_map, self.params.upsampling))


def first_projection(graph: Graph, rows: str, fewer_pixels: bool, squarings: int) -> str:
    """(N, C, P) -> (N, P, 1): A v for A = rows transposed, v its first right singular vector. 0 for A = 0."""
    across = graph.add("Transpose", rows, perm=[0, 2, 1])  # A, (N, P, C)
    first, second = (across, rows) if fewer_pixels else (rows, across)
    start = _dominant(graph, graph.add("MatMul", first, second), squarings)
    # From the pixels' side the channels' vector is one multiplication away.
    vector = _unit(graph, graph.add("MatMul", rows, start) if fewer_pixels else start)
    projection = graph.add("MatMul", across, vector)
    peak = graph.add("ArgMax", graph.add("Abs", projection), axis=1)
    return graph.add("Mul", projection, graph.add("Sign", graph.add("GatherElements", projection, peak, axis=1)))


def _dominant(graph: Graph, gram: str, squarings: int) -> str:
    """(N, n, n) -> (N, n, 1): along the first eigenvector, by the power 2^squarings of the matrix."""
    power = _scaled(graph, gram)
    for _ in range(squarings):
        power = _scaled(graph, graph.add("MatMul", power, power))
    # Every column of the limit is along it; the one with the largest norm is furthest from rounding.
    norms = over_axes(graph, "ReduceSumSquare", power, [1], keep=True)
    best = graph.add("ArgMax", norms, axis=2)
    return graph.add("GatherElements", power, graph.add("Expand", best, _column(graph, power)), axis=2)


def _column(graph: Graph, power: str) -> str:
    """The shape (N, n, 1)."""
    return graph.add("Concat", graph.add("Shape", power, start=0, end=2), graph.constant(np.array([1], np.int64)),
                     axis=0)


def _scaled(graph: Graph, matrix: str) -> str:
    """With a largest absolute value of 1, so that powers neither overflow nor vanish."""
    return _divided(graph, matrix, over_axes(graph, "ReduceMax", graph.add("Abs", matrix), [1, 2], keep=True))


def _unit(graph: Graph, vector: str) -> str:
    return _divided(graph, vector, over_axes(graph, "ReduceL2", vector, [1], keep=True))


def _divided(graph: Graph, tensor: str, by: str) -> str:
    """0 / 0 = 0."""
    zero, one = graph.constant(0, np.float32), graph.constant(1, np.float32)
    return graph.add("Div", tensor, graph.add("Where", graph.add("Equal", by, zero), one, by))


def _fewer_pixels(draft: ExplainerDraft) -> bool:
    """Whether the layer is known to have fewer pixels than channels: which Gram matrix is the smaller one."""
    match draft.graph.shape(draft.layer):
        case (_, int(channels), int(height), int(width)):
            return height * width < channels
    return False
