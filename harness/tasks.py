"""The tasks: what a dataset gives as the truth and what a model's ONNX graph gives as its prediction.

All coordinates of targets and of stored predictions are native pixels, x before y. Points: an integer is a pixel
center. Boxes: half-open edges [x0, y0, x1, y1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointsTarget:
    """points: (K, 2) float32 native pixels; visible: (K,) bool."""

    points: NDArray[np.float32]
    visible: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationTarget:
    """label: name of the class; boxes: (M, 4) float32; mask, ignore: (H, W) bool; None where the dataset has none."""

    label: str
    boxes: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None
    ignore: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationTarget:
    """mask: (H, W) int32 class indices into `labels`, -1 where nothing is to be learned or judged (ignore).

    labels: names of the dataset's classes, 0 is the background; instances: (H, W) int32 object numbers from 1, 0
    outside of objects; None where the dataset does not tell objects of one class apart.
    """

    mask: NDArray[np.int32]
    labels: tuple[str, ...]
    instances: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTarget:
    """The objects of one image, M >= 0 of them.

    boxes: (M, 4) float32; labels: M class names; crowd: (M,) bool, regions that hold several objects, in which further
    detections are not counted as wrong; areas: (M,) float32 native pixels where they are not those of the boxes (COCO
    takes the area of the segmentation).
    """

    boxes: NDArray[np.float32]
    labels: tuple[str, ...]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32] | None = None


Target = KeypointsTarget | ClassificationTarget | DetectionTarget | SegmentationTarget

Space = Literal["points", "boxes", "map"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output of a task's graph.

    shape: symbolic, N = batch, D = all detections of the batch; space: what the host maps from model input pixels back
    to native pixels: coordinates, or a map of class logits, of which the class of each native pixel is kept
    (harness.masks), never the logits; stored: kept with the predictions (heatmaps are not); shown: how the channels of
    a map that is not stored become pictures (harness.innermaps); required: the task can not do without it.
    """

    name: str
    shape: str
    space: Space | None = None
    stored: bool = True
    shown: Literal["maximum", "each"] = "each"
    required: bool = True

    @property
    def flat(self) -> bool:
        """One row per detection; the output `image` says to which sample of the batch (0 to N - 1) each belongs."""
        return self.shape.startswith("(D")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The schema of one task."""

    name: str
    target: type[Target]
    outputs: tuple[Output, ...]

    def output(self, name: str) -> Output | None:
        return next((output for output in self.outputs if output.name == name), None)


IMAGE = "image"
"""The flat output that gives each row's sample."""

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(name="classification", target=ClassificationTarget, outputs=(Output(name="logits", shape="(N,C)"),)),
        Task(
            name="keypoints",
            target=KeypointsTarget,
            outputs=(
                Output(name="keypoints", shape="(N,K,2)", space="points"),
                Output(name="scores", shape="(N,K)", required=False),
                Output(name="heatmaps", shape="(N,K,h,w)", stored=False, shown="maximum", required=False),
            ),
        ),
        Task(
            name="segmentation",
            target=SegmentationTarget,
            outputs=(Output(name="logits", shape="(N,C,h,w)", space="map"),),
        ),
        Task(
            name="detection",
            target=DetectionTarget,
            outputs=(
                Output(name="boxes", shape="(D,4)", space="boxes"),
                Output(name="scores", shape="(D)"),
                Output(name="labels", shape="(D)"),
                Output(name=IMAGE, shape="(D)"),
                Output(name="level", shape="(D)", required=False),
                Output(name="activations", shape="(N,L,h,w)", stored=False, required=False),
            ),
        ),
    )
}
