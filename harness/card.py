"""What must be known of an ONNX file to run it: the model card, stored under the metadata key `harness`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.params import Params

Positive = Annotated[int, Field(gt=0)]


class TileSpec(Params):
    """How a fully convolutional graph takes images of any size (harness.tiling); lengths in input pixels."""

    size: tuple[Positive, Positive]
    """[height, width] of the largest piece that is run at once; an admitted size."""
    step: Positive = 1
    """Admitted heights and widths are `remainder` + a multiple of `step`; pieces lie at multiples of it."""
    remainder: Annotated[int, Field(ge=0)] = 0
    """See `step`."""
    margin: Annotated[int, Field(ge=0)] = 0
    """Pixels by which the output is smaller than the input on each side, in a network without padding."""
    radius: Annotated[int, Field(ge=0)] = 0
    """An output pixel depends on no input pixel further away: what neighboring pieces must overlap to agree."""

    @property
    def overlap(self) -> int:
        """Pixels at each side of a tile that it does not decide, the margin included.

        A padded network is right only beyond its receptive radius from the tile's border, an unpadded one everywhere.
        """
        return self.margin or self.step * math.ceil(self.radius / self.step)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for side in self.size:
            if side % self.step != self.remainder % self.step or side < self.remainder:
                raise ValueError(f"size {list(self.size)} is not admitted: each side must be a multiple of {self.step}"
                                 + (f" plus {self.remainder}" if self.remainder else ""))
            if side < 2 * self.overlap + self.step:
                raise ValueError(f"size {list(self.size)} is too small: tiles overlap by {self.overlap} pixels on each "
                                 f"side, so that {2 * self.overlap + self.step} is the least")
        return self


class InputSpec(Params):
    """How a native image (uint8, height x width x channels) becomes the model's input (float32)."""

    size: tuple[Positive, Positive]
    """[height, width] of the model's input in pixels."""
    color: Literal["RGB", "BGR", "GRAY", "RGBA"] = "RGB"
    """Channel order; GRAY is one channel (ITU-R 601 luma); RGBA has a fourth one for any map beside the picture, 255
    where the dataset gives none."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    """Axis order of the model's input."""
    fit: Literal["stretch", "crop", "letterbox", "tile"] = "stretch"
    """stretch: aspect not kept; crop: shorter side scaled, center cut; letterbox: longer side scaled, rest filled;
    tile: never scaled, mirrored at the borders, cut into overlapping pieces where the model's card has `tile`."""
    resize: Positive | None = None
    """With fit = "crop": the shorter side in pixels before the cut (256 for ImageNet); by default no margin."""
    fill: Annotated[int, Field(ge=0, le=255)] = 114
    """With fit = "letterbox": the gray level around the image."""
    range: tuple[float, float] | None = None
    """[low, high]: pixel values 0..255 map linearly to this range; [0, 1] without range, mean and std."""
    mean: list[float] | None = None
    """Per channel, on the 0..1 scale, in the order of `color`; with `std`, instead of `range`."""
    std: list[float] | None = None
    """Per channel, on the 0..1 scale, in the order of `color`."""

    @property
    def channels(self) -> int:
        return {"GRAY": 1, "RGBA": 4}.get(self.color, 3)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together: give both or neither")
        if self.mean is not None and self.range is not None:
            raise ValueError("give either range or mean and std, not both")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} has {len(values)} values, color {self.color} has {self.channels} channels")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError("range must be [low, high] with low < high")
        if self.resize is not None and (self.fit != "crop" or self.resize < max(self.size)):
            raise ValueError('resize needs fit = "crop" and must be at least the longer side of size')
        return self


class SsdDecoder(Params):
    """From the raw outputs of a single-shot detector to detections: threshold, then class-wise NMS, on the host."""

    kind: Literal["ssd"]
    """Boxes and class scores for each of A anchors."""
    boxes: str = "boxes"
    """Graph output (N, A, 4): edges x0, y0, x1, y1, decoded."""
    scores: str = "scores"
    """Graph output (N, A, C)."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What turns the output `scores` into probabilities; none: they are some."""
    relative: bool = False
    """Boxes are fractions of the input's width and height, not its pixels."""
    background: Annotated[int, Field(ge=0)] | None = None
    """Class index of the scores that means no object; the other classes are counted without it."""
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Detections with a lower score are dropped."""
    iou_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of two boxes of a class that overlap by more than this IoU the one with the lower score is dropped."""
    max_detections: Positive = 200
    """At most so many for each image and class."""
    levels: list[Positive] | None = None
    """Number of anchors of each feature level, in order; gives the output `level`."""


class PrecisionFacts(Params):
    """How a file of another precision was made from a float32 one."""

    precision: str
    """int8 or fp16."""
    source_sha256: str
    """Of the float32 file."""
    float_nodes: list[str] = []
    """int8: layers with weights that stayed in float. fp16: all nodes that stayed in float32."""
    layers: int = 0
    """Layers with weights, those in float included."""
    settings: dict[str, Any] = {}
    """int8: how it was quantized."""
    calibration: dict[str, Any] = {}
    """int8: the samples that ranges were found on."""
    metric: str | None = None
    """What the loss is measured in; None: nothing was searched."""
    loss: float | None = None
    """What the metric lost against float32 on the samples of the search."""
    max_loss: float | None = None
    """The limit of the search."""
    steps: list[tuple[list[str], float]] = []
    """Trials of the search: layers in float, loss."""
    producer: dict[str, str] = {}
    """Versions of the packages that made it."""


class ModelCard(Params):
    """The facts about one ONNX file; written by `harness export`, completed or overridden by a suite."""

    task: str
    """One of harness.tasks.TASKS: classification, detection, keypoints or segmentation."""
    input: InputSpec
    """Preprocessing."""
    input_name: str | None = None
    """Name of the graph's image input; by default its only input."""
    outputs: dict[str, str] = {}
    """Task output -> graph output, where the names differ."""
    labels: list[str] | None = None
    """Name of each class index (or of each keypoint)."""
    classes: dict[str, int] = {}
    """Dataset label name -> class index; labels that are not here are looked up in `labels`."""
    cam_layer: str | None = None
    """Tensor that class activation methods explain by default."""
    tile: TileSpec | None = None
    """How a fully convolutional graph takes images of any size; with it, height and width of the graph are free."""
    decoder: SsdDecoder | None = None
    """How raw outputs become the task's outputs on the host, where the graph ends before its decoding."""
    details: dict[str, Any] = {}
    """Facts that metrics of the same family read, e.g. the anchors of a detector."""
    recipe: dict[str, Any] | None = None
    """How it was trained."""
    weights_sha256: str | None = None
    """Of the checkpoint that was exported."""
    producer: dict[str, str] = {}
    """Versions of the packages that trained and exported it."""
    precision: PrecisionFacts | None = None
    """How it was made from a float32 file, where it was."""

    def class_index(self, label: str) -> int | None:
        """The class index of a dataset's label name, or None if this model does not know it."""
        if label in self.classes:
            return self.classes[label]
        return self.labels.index(label) if self.labels and label in self.labels else None
