"""Parameters of this plugin's datasets, model and metrics; light, because validation imports it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.api import Params, Recipe, SuitePath

SHAPES = ("circle", "square", "triangle")
"""Classes of the generated shapes, small to large."""

Side = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


class ShapesParams(Params):
    """Parameters of the generated shapes; ranges are [low, high], drawn uniformly."""

    split: Literal["train", "val", "test"] = "test"
    """Splits share no image."""
    count: Positive = 300
    """Number of images; image i is the same whatever the count."""
    seed: int = Field(0, ge=0)
    """Seed of all images."""
    size: int = Field(224, ge=64, le=1024)
    """Height and width of the image in pixels."""
    objects: tuple[Positive, Positive] = (1, 6)
    """Fewest and most shapes of an image; one that finds no place is left out, but never the first."""
    circle: tuple[Side, Side] = (16.0, 32.0)
    """Side of a circle's box in pixels."""
    square: tuple[Side, Side] = (48.0, 96.0)
    """Side of a square in pixels."""
    triangle: tuple[Side, Side] = (104.0, 184.0)
    """Side of a triangle's box in pixels."""
    overlap: Share = 0.2
    """Largest share of a shape that later ones hide, and largest IoU of two boxes."""
    contrast: float = Field(60.0, ge=0, le=255)
    """Smallest distance in RGB between the colors of the shapes and the mean ground, where there is one."""
    texture: float = Field(25.0, ge=0, le=100)
    """Standard deviation of the ground in gray levels."""
    noise: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.0, 8.0)
    """Standard deviation of Gaussian noise over everything, in gray levels."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("objects", "circle", "square", "triangle", "noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be [low, high] with low <= high, got [{low}, {high}]")
        for name in SHAPES:
            if getattr(self, name)[1] > self.size - 4:
                raise ValueError(f"{name}: {getattr(self, name)[1]:g} px do not fit into an image of {self.size} px")
        return self


class CocoParams(Params):
    """A file of annotations in COCO's format and the folder of its images."""

    annotations: SuitePath
    """The JSON file with images, annotations and categories."""
    images: SuitePath
    """Folder that the images' file_name starts from."""
    categories: Annotated[list[str], Field(min_length=1)] | None = None
    """Only the objects of these categories; all by default. Images without any stay."""
    count: Positive | None = None
    """At most so many images, evenly spaced over the sorted image ids; all by default."""


class Level(Params):
    """Anchors of one feature map."""

    stride: Literal[4, 8, 16, 32, 64]
    """Input pixels for each step of the feature map: 4 is 56x56 for an input of 224x224."""
    scales: Annotated[list[Side], Field(min_length=1)]
    """Sides in input pixels of the square anchors at every location; with an aspect ratio, square roots of areas."""


class MultiscaleDetectorParams(Params):
    """The detector's classes, anchors, matching, loss and non-maximum suppression."""

    classes: Annotated[list[str], Field(min_length=1)] = list(SHAPES)
    """Names of the classes, in the order of their indices."""
    size: int = Field(224, ge=64, le=1024)
    """Height and width of the input in pixels, a multiple of every stride."""
    levels: Annotated[list[Level], Field(min_length=1)] = [
        Level(stride=4, scales=[16, 24, 32]),
        Level(stride=8, scales=[48, 64, 96]),
        Level(stride=16, scales=[96, 128, 192]),
    ]
    """Feature levels, fine to coarse, each with its anchors."""
    aspect_ratios: Annotated[list[Side], Field(min_length=1)] = [1.0]
    """Width over height of the anchors; every scale is used with each."""
    variances: tuple[Side, Side] = (0.1, 0.2)
    """Divisors of the offsets (tx, ty) and (tw, th), so that both losses have a similar size (Liu 2016)."""
    positive_iou: float = Field(0.5, gt=0, le=1)
    """An anchor with at least this IoU to an object is trained to find it; so is each object's best anchor."""
    negative_iou: float = Field(0.4, ge=0, le=1)
    """An anchor with less than this IoU to every object is background; those in between are not trained."""
    loss: Literal["cross-entropy", "focal"] = "cross-entropy"
    """cross-entropy: softmax over background and classes with hard negatives; focal: sigmoids (Lin 2017)."""
    negatives: float = Field(3.0, gt=0)
    """Hard negatives for each positive anchor of an image (cross-entropy)."""
    focal_gamma: float = Field(2.0, ge=0)
    """Focusing exponent of the focal loss."""
    focal_alpha: float = Field(0.25, gt=0, lt=1)
    """Weight of the positives in the focal loss."""
    box_beta: float = Field(0.1, gt=0, le=1)
    """Error of an offset at which smooth L1 turns from quadratic to linear; small ones sharpen boxes, 1 is SSD's."""
    score_threshold: float = Field(0.05, gt=0, lt=1)
    """Detections with a score at or below are dropped, inside the graph."""
    iou_threshold: float = Field(0.45, ge=0, le=1)
    """Non-maximum suppression, for each class: the IoU above which the lower score is dropped."""
    max_detections: Positive = 100
    """At most so many for each image and class."""
    activations: bool = False
    """Also give each level's channel mean, enlarged to the finest level: output activations (N, L, h, w)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou:g} exceeds positive_iou {self.positive_iou:g}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("the names of classes must differ")
        strides = [level.stride for level in self.levels]
        if strides != sorted(set(strides)):
            raise ValueError(f"the strides of levels must increase, got {strides}")
        if self.size % strides[-1]:
            raise ValueError(f"size {self.size} is no multiple of the stride {strides[-1]}")
        return self


class MultiscaleDetectorRecipe(Recipe):
    """How the detector is trained by default."""

    dataset: str = "shapes"
    """Name of the dataset plugin; its own splits train, val and test are used."""
    train_count: Positive = 1600
    """Training samples."""
    val_count: Positive = 100
    """Validation samples, evaluated after each epoch."""
    test_count: Positive = 300
    """Unseen samples for the accuracy in export.json."""
    metrics: dict[str, dict[str, Any]] = {"coco-map": {}, "scale-specialization": {}, "anchor-coverage": {}}
    """Metric plugin -> its parameters, measured on the test split after export."""
    epochs: Positive = 12
    """Passes over the training samples."""
    lr: float = Field(3e-3, gt=0)
    """Highest learning rate."""
    schedule: Literal["constant", "one-cycle"] = "one-cycle"
    """Learning rate over the optimizer steps; one-cycle rises to `lr` and falls to nearly 0 (Smith and Topin 2018)."""


class CocoMapParams(Params):
    """COCO's numbers have no parameters."""


class ScaleSpecializationParams(Params):
    """Which detections are true positives."""

    iou: float = Field(0.5, gt=0, le=1)
    """Smallest IoU of a detection with the object that it finds."""
    score_threshold: Share = 0.5
    """Smallest score of a detection that counts."""


class AnchorCoverageParams(Params):
    """When an object counts as covered."""

    iou: float = Field(0.5, gt=0, le=1)
    """Smallest IoU of an object with its best anchor."""


class ClassConfusionParams(Params):
    """Which detections find an object."""

    iou: float = Field(0.5, gt=0, le=1)
    """Smallest IoU of a detection with the object that it finds."""
    score_threshold: Share = 0.5
    """Smallest score of a detection that counts."""


class UnlabeledImagesParams(Params):
    """A folder of images."""

    root: SuitePath
    """The folder; its subfolders are not searched."""
    count: Positive | None = None
    """At most so many images, evenly spaced over the sorted names; all by default."""


class DetectionCountParams(Params):
    """Which detections count."""

    score_threshold: Share = 0.5
    """Smallest score of a detection that counts."""
