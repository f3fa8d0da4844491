"""From attributions to a map at the image's size, as graph nodes."""

from __future__ import annotations

import numpy as np

from harness.api import ExplainerDraft, Graph
from harness_saliency.graph_params import Channels, Sign, Upsampling


def over_axes(graph: Graph, op_type: str, tensor: str, axes: list[int], *, keep: bool = False) -> str:
    """A reduction, e.g. "ReduceSum"."""
    return graph.add(op_type, tensor, graph.constant(np.array(axes, np.int64)), keepdims=int(keep))


def image_map(draft: ExplainerDraft, attribution: str, channels: Channels, sign: Sign) -> str:
    """Values of the image's shape -> (N, H, W)."""
    graph, axes = draft.graph, [draft.channel_axis]
    if graph.dtype(draft.image) != np.float32:  # sums in float16 would lose more than its values have
        attribution = graph.float32(attribution)
    if channels == "sum":
        return signed(graph, over_axes(graph, "ReduceSum", attribution, axes), sign)
    kind = "ReduceMax" if channels == "max-abs" else "ReduceMean"
    return signed(graph, over_axes(graph, kind, graph.add("Abs", attribution), axes), sign)


def signed(graph: Graph, tensor: str, sign: Sign) -> str:
    return tensor if sign == "none" else graph.add({"relu": "Relu", "abs": "Abs"}[sign], tensor)


def upsampled(draft: ExplainerDraft, layer_map: str, mode: Upsampling) -> str:
    """(N, h, w) at a layer's size -> (N, H, W) at the image's.

    Centers of pixels lie at half-integers, borders are repeated: torch's interpolate with align_corners=False, and for
    "nearest" its mode nearest-exact.
    """
    graph = draft.graph
    one = graph.constant(np.array([1], np.int64))
    resized = graph.add("Resize", graph.add("Unsqueeze", layer_map, one), None, None, four_sizes(draft, layer_map),
                        mode=mode, coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75,
                        nearest_mode="round_prefer_ceil")
    return graph.add("Squeeze", resized, one)


def four_sizes(draft: ExplainerDraft, layer_map: str) -> str:
    """(4,) int64: batch, 1, height and width of the image."""
    graph = draft.graph
    return graph.add("Concat", graph.add("Shape", layer_map, start=0, end=1), graph.constant(np.array([1], np.int64)),
                     draft.size, axis=0)
