"""Ablation-CAM: channels weighed by what the score loses without them (Desai & Ramaswamy 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from harness.api import ModelHandle, graph_tail, resize_maps
from harness_saliency.host_params import AblationCamParams
from harness_saliency.perturbing import Floats, pieces, scores_as

_SOURCE, _KEEP = "ablation.source", "ablation.keep"


class AblationCam:
    """(N, h, w) float32: ReLU of the weighted sum of the layer's channels, enlarged by bilinear interpolation.

    The weight of a channel is (y - y_k) / |y|, y the class's score and y_k that with the channel set to zero (equation
    3). The paper divides by y, which would turn the map around where the score is negative. Only the part of the
    network behind the layer is run for each channel, or all of it where other paths bypass the layer.
    """

    def __init__(self, params: AblationCamParams) -> None:
        self.params = params
        self._ablations: WeakKeyDictionary[ModelHandle, _Ablation] = WeakKeyDictionary()

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        del seeds
        if model not in self._ablations:
            self._ablations[model] = _Ablation.of(model)
        ablation = self._ablations[model]
        maps = [self._map(model, ablation, image[None], int(class_))
                for image, class_ in zip(inputs, classes, strict=True)]
        return resize_maps(np.stack(maps), model.card.input.size)

    def _map(self, model: ModelHandle, ablation: _Ablation, image: Floats, class_: int) -> Floats:
        """(h', w') at the layer's size."""
        channels = model.activations(image)
        source = channels if ablation.from_layer else image
        count = channels.shape[1]
        kept = 1 - np.eye(count, dtype=np.float32)[:, :, None, None]
        scores = [ablation.scores(model, source, kept[piece]) for piece in pieces(count, model, self.params)]
        whole = ablation.scores(model, source, np.ones((1, count, 1, 1), np.float32))
        drops = self._drops(whole, np.concatenate(scores), model, class_)
        return np.maximum(np.tensordot(drops, channels[0].astype(np.float64), 1), 0).astype(np.float32)

    def _drops(self, whole: Floats, ablated: Floats, model: ModelHandle, class_: int) -> NDArray[np.float64]:
        before, after = (scores_as(self.params.score, scores, model)[:, class_] for scores in (whole, ablated))
        return np.asarray((before - after) / max(abs(before[0]), np.finfo(np.float64).tiny))


@dataclass(frozen=True, slots=True, eq=False)
class _Ablation:
    """graph: the model, or what is behind its layer, with an input that keeps (1) or removes (0) channels."""

    graph: onnx.ModelProto
    source: str
    from_layer: bool

    @classmethod
    def of(cls, model: ModelHandle) -> _Ablation:
        layer, image = model.layer, model.graph.graph.input[0].name
        behind = graph_tail(model.graph, layer, "scores", _SOURCE)
        graph = behind or onnx.shape_inference.infer_shapes(model.graph)
        _multiply(graph, _SOURCE if behind else layer)
        return cls(graph, _SOURCE if behind else image, behind is not None)

    def scores(self, model: ModelHandle, source: Floats, kept: Floats) -> Floats:
        """(1, ...) of the image or the layer, (B, C, 1, 1) -> (B, K)."""
        feeds = {self.source: np.repeat(source, len(kept), axis=0), _KEEP: kept}
        return model.run(self.graph, feeds)["scores"].reshape(len(kept), -1).astype(np.float32, copy=False)


def _multiply(model: onnx.ModelProto, tensor: str) -> None:
    """Let all who read a tensor read its product with a new input _KEEP (B, C, 1, 1)."""
    graph, product = model.graph, f"{_KEEP}.product"
    for node in graph.node:
        node.input[:] = [product if each == tensor else each for each in node.input]
    after = next((index + 1 for index, node in enumerate(graph.node) if tensor in node.output), 0)
    graph.node.insert(after, helper.make_node("Mul", [tensor, _KEEP], [product], name=product))
    graph.input.append(helper.make_tensor_value_info(_KEEP, _type_of(graph, tensor), [None] * 4))


def _type_of(graph: onnx.GraphProto, tensor: str) -> int:
    """What the network computes a tensor in, float32 where that is not known."""
    known = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input)}
    return known.get(tensor) or TensorProto.FLOAT
