"""Grad-CAM and its kin: a layer A weighted by the gradient G of the score by A, both (N, C, h, w).

The backward pass ends at the layer, so that a map costs little more than a forward pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import onnx

from harness.api import ExplainerDraft, Graph, ModelCard, Rules
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import GradCamParams
from harness_saliency.maps import over_axes, signed, upsampled

_SPACE = [2, 3]


class GradientCam(NoFeeds, ABC):
    """map = sum_c weighted[c], which every method defines; by default negative values become 0."""

    def __init__(self, params: GradCamParams) -> None:
        self.params = params

    @abstractmethod
    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        """A and G in float32 -> a tensor (N, C, h, w)."""

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        draft = ExplainerDraft(graph, card, rules, needs_layer=True)
        return draft.finish(upsampled(draft, self.layer_map(draft), self.params.upsampling))

    def layer_map(self, draft: ExplainerDraft) -> str:
        """(N, h, w)."""
        (gradient,) = draft.gradients([draft.layer])
        weighted = self.weighted(draft.graph, draft.graph.float32(draft.layer), draft.graph.float32(gradient))
        return signed(draft.graph, over_axes(draft.graph, "ReduceSum", weighted, [1]), self.params.sign)


class GradCam(GradientCam):
    """weighted = mean(G) A, the mean over height and width. Selvaraju et al. 2017, equations 1 and 2."""

    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        return graph.add("Mul", over_axes(graph, "ReduceMean", gradient, _SPACE, keep=True), layer)


class GradCamPlusPlus(GradientCam):
    """weighted = sum(alpha relu(G)) A with alpha = G^2 / (2 G^2 + sum(A) G^3) = 1 / (2 + sum(A) G).

    Chattopadhay et al. 2018, section 3.2, for the exponential of the score; its value, a factor of the whole
    map, is left out, as it overflows. Where G or the denominator is 0, alpha relu(G) is 0.
    """

    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        dtype = graph.dtype(layer)
        total = over_axes(graph, "ReduceSum", layer, _SPACE, keep=True)
        bottom = graph.add("Add", graph.constant(2, dtype), graph.add("Mul", total, gradient))
        ratio = safe_ratio(graph, graph.add("Relu", gradient), bottom, layer)
        return graph.add("Mul", over_axes(graph, "ReduceSum", ratio, _SPACE, keep=True), layer)


class XGradCam(GradientCam):
    """weighted = sum(A G) / sum(A) A, the sums over height and width; 0 where sum(A) is 0. Fu et al. 2020."""

    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        top = over_axes(graph, "ReduceSum", graph.add("Mul", layer, gradient), _SPACE, keep=True)
        bottom = over_axes(graph, "ReduceSum", layer, _SPACE, keep=True)
        return graph.add("Mul", safe_ratio(graph, top, bottom, layer), layer)


class HiResCam(GradientCam):
    """weighted = G A. Draelos and Carin 2020."""

    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        return graph.add("Mul", gradient, layer)


class LayerCam(GradientCam):
    """weighted = relu(G) A. Jiang et al. 2021."""

    def weighted(self, graph: Graph, layer: str, gradient: str) -> str:
        return graph.add("Mul", graph.add("Relu", gradient), layer)


def safe_ratio(graph: Graph, top: str, bottom: str, like: str) -> str:
    """top / bottom, 0 where bottom is 0."""
    zero, one = graph.constant(0, graph.dtype(like)), graph.constant(1, graph.dtype(like))
    empty = graph.add("Equal", bottom, zero)
    return graph.add("Where", empty, zero, graph.add("Div", top, graph.add("Where", empty, one, bottom)))
