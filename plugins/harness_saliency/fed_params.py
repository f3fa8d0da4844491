"""Parameters of the model `saliency-fed`."""

from __future__ import annotations

from typing import Any, Literal

from harness.api import Params, SuitePath


class SaliencyFedParams(Params):
    """Two files with cards, and how the first is explained to the second."""

    classifier: SuitePath
    """ONNX file of a classifier with a card: its highest score is explained."""
    segmenter: SuitePath
    """ONNX file of a segmentation network with a card that says color = "RGBA": the fourth channel is the map."""
    saliency: str = "guided-backprop"
    """A method that works inside of a graph and draws no random numbers."""
    params: dict[str, Any] = {}
    """Parameters of the method."""
    layer: str | None = None
    """Target layer; by default the classifier's `cam_layer`."""
    normalization: Literal["max", "min-max"] = "max"
    """max: negative values of the map become 0, its maximum 1; min-max: its minimum 0, its maximum 1."""
