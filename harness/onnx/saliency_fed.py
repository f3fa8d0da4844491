"""A segmentation network that sees where a classifier looked: image -> classifier -> saliency -> fourth channel."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.card import InputSpec, ModelCard
from harness.errors import ModelFileError
from harness.onnx.compose import compose, inputs_of
from harness.onnx.explainer import SALIENCY
from harness.onnx.metadata import write_card
from harness.onnx.opsets import opset_of

Normalization = Literal["max", "min-max"]
Floats = NDArray[np.float64]
IMAGE = "image"
_SEEN, _FED = "seen", "fed"
_LUMA = [0.299, 0.587, 0.114]


def feed_saliency(explainer: onnx.ModelProto, explained: ModelCard, segmenter: onnx.ModelProto, card: ModelCard, *,
                  normalization: Normalization = "max", keep_map: bool = False) -> onnx.ModelProto:
    """One graph: RGB image -> explainer of a classifier -> its map beside the image -> segmentation network -> mask.

    explainer: input image, output `saliency` (N, h, w); a remaining input `class` stays one of the whole (see
    harness.onnx.explainer.of_predicted_class). segmenter: takes RGBA, as its card says. The image of the whole is that
    of the segmenter without the fourth channel; it is resized (linear, antialiased) to the classifier's input and its
    values are converted from the one normalization to the other. The map is resized back; max: negative values become
    0, then it is divided by its maximum; min-max: to 0..1; a map that has no other values than 0 stays 0. It stands for
    pixel values 0..255 of the fourth channel. keep_map: the map as a second output `saliency`, before that.
    The result's card is the segmenter's with color RGB, without tiles: saliency is one of whole images.
    Raises ModelFileError when the networks do not fit together.
    """
    if card.input.color != "RGBA":
        raise ModelFileError(f"the segmentation network takes {card.input.color} images, and a map beside the picture "
                             "needs RGBA; train one with color = \"RGBA\"")
    if explained.input.color == "RGBA":
        raise ModelFileError("the explained network takes RGBA images itself; explain one that takes RGB")
    spec = three_channels(card.input)
    image, seen = next(iter(inputs_of(segmenter))), next(iter(inputs_of(explainer)))
    size = [dim.dim_value or None for dim in inputs_of(segmenter)[image].type.tensor_type.shape.dim]
    height, width = size[2:] if card.input.layout == "NCHW" else size[1:3]
    shape = ["batch", *([3, height, width] if card.input.layout == "NCHW" else [height, width, 3])]
    front = _Glue({IMAGE: shape}, opset_of(segmenter))
    whole = compose(front.model(_SEEN, _classifier_input(front, spec, explained.input)), explainer, {seen: _SEEN})
    middle = _Glue({IMAGE: shape, SALIENCY: ["batch", None, None]}, opset_of(segmenter))
    fed = middle.model(_FED, _four_channels(middle, card.input, normalization))
    whole = compose(whole, fed, {IMAGE: IMAGE, SALIENCY: SALIENCY}, keep=[SALIENCY] if keep_map else [])
    whole = compose(whole, segmenter, {image: _FED}, keep=[SALIENCY] if keep_map else [])
    write_card(whole, card.model_copy(update={"input": spec, "input_name": IMAGE, "tile": None, "cam_layer": None}))
    return whole


def three_channels(spec: InputSpec) -> InputSpec:
    """The same input without the map beside the picture."""
    known = {"mean": spec.mean and spec.mean[:3], "std": spec.std and spec.std[:3]}
    return spec.model_copy(update={"color": "RGB", "fit": "stretch" if spec.fit == "tile" else spec.fit, **known})


class _Glue:
    """A small graph between networks: nodes appended one by one."""

    def __init__(self, inputs: dict[str, list[int | str | None]], opset: int | None) -> None:
        self.opset = max(opset or 18, 18)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        name = f"{_FED}.{op_type}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"{_FED}.constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def model(self, output: str, tensor: str) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [tensor], [output], name=output))
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", None, None, None])]
        graph = helper.make_graph(self.nodes, output, self.inputs, outputs, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def resized(self, image: str, size: str) -> str:
        """(N, C, H, W) to (2,) int64 sizes; antialiased where it shrinks, as Pillow does, borders included."""
        return self.add("Resize", image, "", "", size, axes=[2, 3], mode="linear", antialias=1, exclude_outside=1,
                        coordinate_transformation_mode="half_pixel")


def _classifier_input(glue: _Glue, given: InputSpec, wanted: InputSpec) -> str:
    image = IMAGE if given.layout == "NCHW" else glue.add("Transpose", IMAGE, perm=[0, 3, 1, 2])
    if given.size != wanted.size:
        image = glue.resized(image, glue.constant(wanted.size, np.int64))
    weights, bias = _conversion(given, wanted)
    if not (weights.shape == (3, 3) and np.allclose(weights, np.eye(3)) and np.allclose(bias, 0)):
        image = glue.add("Conv", image, glue.constant(weights[:, :, None, None]), glue.constant(bias))
    return image if wanted.layout == "NCHW" else glue.add("Transpose", image, perm=[0, 2, 3, 1])


def _conversion(given: InputSpec, wanted: InputSpec) -> tuple[Floats, Floats]:
    """(C, 3), (C,): from normalized RGB values to those of another normalization and color order."""
    mean, std = _mean_std(given)
    colors = {"GRAY": np.array([_LUMA]), "BGR": np.eye(3)[::-1]}.get(wanted.color, np.eye(3))
    target_mean, target_std = _mean_std(wanted)
    return colors * std / target_std[:, None], (colors @ mean - target_mean) / target_std


def _mean_std(spec: InputSpec) -> tuple[Floats, Floats]:
    """Per channel, on the 0..1 scale."""
    if spec.mean is not None and spec.std is not None:
        return np.array(spec.mean, np.float64), np.array(spec.std, np.float64)
    low, high = spec.range or (0.0, 1.0)
    return np.full(spec.channels, -low / (high - low)), np.full(spec.channels, 1 / (high - low))


def _four_channels(glue: _Glue, spec: InputSpec, normalization: Normalization) -> str:
    """The image with the map behind its channels, as the segmentation network takes it."""
    axis, first = (1, 2) if spec.layout == "NCHW" else (3, 1)
    channel = glue.add("Unsqueeze", SALIENCY, glue.constant([1], np.int64))
    channel = glue.resized(channel, glue.add("Shape", IMAGE, start=first, end=first + 2))
    channel = _normalized(glue, channel, normalization)
    mean, std = (values[-1] for values in _mean_std(spec))
    channel = glue.add("Div", glue.add("Sub", channel, glue.constant(mean)), glue.constant(std))
    if axis == 3:
        channel = glue.add("Transpose", channel, perm=[0, 2, 3, 1])
    return glue.add("Concat", IMAGE, channel, axis=axis)


def _normalized(glue: _Glue, channel: str, normalization: Normalization) -> str:
    """To 0..1, each image by itself; 0 where the map is constant."""
    axes, zero, one = glue.constant([1, 2, 3], np.int64), glue.constant(0), glue.constant(1)
    if normalization == "max":
        channel = glue.add("Relu", channel)
    else:
        channel = glue.add("Sub", channel, glue.add("ReduceMin", channel, axes))
    largest = glue.add("ReduceMax", channel, axes)
    return glue.add("Div", channel, glue.add("Where", glue.add("Greater", largest, zero), largest, one))
