"""Parameters of this plugin's datasets, models and metrics; light, because validation imports it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.api import Params, Recipe, SuitePath

CELL_LABELS = ("background", "cell")
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(ge=0, le=255)]
Loss = Literal["cross-entropy", "bce", "dice", "bce+dice"]


class CellsParams(Params):
    """Parameters of the generated cells; ranges are [low, high], drawn uniformly for each image or cell."""

    split: Literal["train", "val", "test"] = "test"
    """Splits share no image."""
    count: Positive = 60
    """Number of images; image i is the same whatever the count."""
    seed: int = Field(0, ge=0)
    """Seed of all images."""
    size: int = Field(128, ge=32, le=4096)
    """Height and width of the image in pixels."""
    density: tuple[Positive, Positive] = (16, 28)
    """Cells that are placed per 128 x 128 pixels."""
    radius: tuple[Annotated[float, Field(ge=3)], Annotated[float, Field(ge=3)]] = (8.0, 15.0)
    """Half axes of a cell's ellipse in pixels."""
    overlap: float = Field(0.2, ge=0, lt=1)
    """Largest share of a new cell that may lie on earlier ones; they then divide the common pixels and touch."""
    background: tuple[Level, Level] = (40.0, 80.0)
    """Gray level between the cells."""
    contrast: tuple[Level, Level] = (45.0, 110.0)
    """Gray levels by which a cell is brighter than its background."""
    noise: tuple[Level, Level] = (4.0, 10.0)
    """Standard deviation of Gaussian noise in gray levels."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("density", "radius", "background", "contrast", "noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be [low, high] with low <= high, got [{low}, {high}]")
        return self


class UNetParams(Params):
    """Parameters of UNet. The published network is `size = [572, 572]`, `widths = [64, 128, 256, 512, 1024]`,
    `padded = false`, `norm = "none"`, `color = "GRAY"`."""

    labels: list[str] = Field(list(CELL_LABELS), min_length=2)
    """Names of the classes, the background first; the same names as the dataset's, in any order."""
    size: tuple[Positive, Positive] = (128, 128)
    """[height, width] of the input in training; an image of another size is neither scaled nor refused with
    fit = "tile"."""
    tile: tuple[Positive, Positive] | None = None
    """[height, width] of the pieces in which larger images are predicted; by default `size`, or what the overlap
    needs."""
    color: Literal["RGB", "GRAY", "RGBA"] = "GRAY"
    """Input channels: 3, 1 or 4."""
    fit: Literal["tile", "stretch", "crop", "letterbox"] = "tile"
    """How images come to the input size; `tile` keeps their scale."""
    widths: list[Positive] = Field([16, 32, 64, 128], min_length=2, max_length=7)
    """Channels at each resolution; one less than its length are the poolings."""
    padded: bool = True
    """3x3 convolutions keep the size; without, each loses a pixel at every border, as published."""
    norm: Literal["none", "batch", "group"] = "batch"
    """After each 3x3 convolution; group: of 8 channels."""
    loss: Loss = "cross-entropy"
    """cross-entropy: softmax over the classes; bce, dice and their sum: sigmoids, one channel for two classes."""
    border_weight: float = Field(10.0, ge=0)
    """w0 of the border weight map; 0 leaves it out."""
    border_sigma: float = Field(5.0, gt=0)
    """sigma of the border weight map in pixels."""
    balance: bool = True
    """Weights classes by their inverse frequency in the image."""
    clip: float = Field(12.0, gt=0)
    """Largest weight of a pixel."""
    flips: bool = True
    """Augmentation: random mirror images, and quarter turns where height = width."""
    elastic: float = Field(0.0, ge=0, le=64)
    """Augmentation: standard deviation in pixels of random displacements on a coarse 3 x 3 grid (the paper has 10 for
    512 x 512), interpolated bicubically; 0: none."""

    @property
    def channels(self) -> int:
        return {"GRAY": 1, "RGB": 3, "RGBA": 4}[self.color]

    @property
    def depth(self) -> int:
        return len(self.widths) - 1

    @property
    def outputs(self) -> int:
        """Channels of the logits."""
        return 1 if len(self.labels) == 2 and self.loss != "cross-entropy" else len(self.labels)

    @model_validator(mode="after")
    def _geometry(self) -> Self:
        from harness_segmentation.geometry import check_size

        if len(set(self.labels)) < len(self.labels):
            raise ValueError("two labels are equal")
        if not self.padded and self.fit != "tile":
            raise ValueError('an unpadded network loses its borders; fit = "tile" mirrors the image around them')
        if self.norm == "group" and any(width % 8 for width in self.widths):
            raise ValueError("group normalization takes groups of 8 channels: make the widths multiples of 8")
        check_size("size", self.size, self.depth, self.padded)
        if self.tile is not None:
            check_size("tile", self.tile, self.depth, self.padded)
        return self


class UNetRecipe(Recipe):
    """How UNet is trained by default."""

    dataset: str = "cells"
    """Name of the dataset plugin; its own splits train, val and test are used."""
    train_count: int = Field(300, gt=0)
    """Training samples."""
    val_count: int = Field(60, gt=0)
    """Validation samples, evaluated after each epoch."""
    test_count: int = Field(200, gt=0)
    """Unseen samples for the accuracy in export.json."""
    epochs: int = Field(20, gt=0)
    """Passes over the training samples."""
    batch_size: int = Field(8, gt=0)
    """Samples per optimizer step."""
    metrics: dict[str, dict[str, Any]] = {
        "iou": {}, "dice": {}, "pixel-accuracy": {}, "boundary-f1": {}, "instance-f1": {}, "panoptic-quality": {},
    }
    """Metric plugin -> its parameters, measured on the test split after export."""


class OverlapParams(Params):
    """Parameters of IoU and Dice."""

    background: Literal["auto", "include", "exclude"] = "auto"
    """Whether class 0 is judged; auto: only where there are more than two classes."""
    ignore: list[str] = []
    """Classes of the dataset whose pixels are not judged, beside those that it marks itself."""


class PixelAccuracyParams(Params):
    """Parameters of pixel accuracy."""

    ignore: list[str] = []
    """Classes of the dataset whose pixels are not judged, beside those that it marks itself."""


class BoundaryParams(Params):
    """Parameters of boundary F1."""

    tolerance: float = Field(0.0075, gt=0, lt=1)
    """Largest distance of matching boundary pixels as a fraction of the image's diagonal."""
    ignore: list[str] = []
    """Classes of the dataset whose pixels are not judged, beside those that it marks itself."""


class InstanceParams(Params):
    """Parameters of instance F1 and panoptic quality."""

    threshold: float = Field(0.5, ge=0.5, lt=1)
    """IoU above which a predicted and a true object match; from .5 on, no object has two partners."""
    connectivity: Literal[4, 8] = 4
    """Neighbors that join pixels to one predicted object; with 4, cells that touch at corners stay apart."""
    min_area: int = Field(0, ge=0)
    """Predicted objects with fewer pixels are dropped."""
    ignore: list[str] = []
    """Classes of the dataset whose pixels are not judged, beside those that it marks itself."""


class MaskFolderParams(Params):
    """Parameters of a folder of images and masks."""

    root: SuitePath
    """Folder of both."""
    images: str = "images"
    """Folder of the images below root, searched with its subfolders."""
    masks: str = "masks"
    """Folder of the masks below root: the same names in the same subfolders (iCoseg: "ground_truth"). May be that of
    the images when there is a suffix."""
    suffix: str = ""
    """What a mask's name has after the image's, before its extension, e.g. "_mask"."""
    maps: str | None = None
    """Folder of gray pictures below root with the names of the images: the fourth channel of models with
    color = "RGBA", e.g. saliency maps."""
    classes: dict[str, int] = Field({"background": 0, "foreground": 255}, min_length=2)
    """Class name -> value in the masks, the background first. By default 0 is the background, 1 or 255 the rest."""
    ignore: list[int] = []
    """Values that are neither learned nor judged."""
    split: Literal["all", "train", "val", "test"] = "all"
    """all, or the share of the samples whose hashed names fall into it."""
    shares: tuple[Share, Share, Share] = (0.7, 0.15, 0.15)
    """Of train, val and test."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the sorted names; all by default."""

    @property
    def binary(self) -> bool:
        return "classes" not in self.model_fields_set

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        values = list(self.classes.values())
        if len(set(values)) < len(values) or set(values) & set(self.ignore):
            raise ValueError("two classes have the same value, or one that is ignored")
        if abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares must add up to 1, they give {sum(self.shares):g}")
        if self.images == self.masks and not self.suffix:
            raise ValueError("images and masks in one folder need a suffix that tells them apart")
        return self


class PascalVocParams(Params):
    """Parameters of Pascal VOC segmentation."""

    root: SuitePath
    """The folder with ImageSets, JPEGImages and SegmentationClass, or one of those above it (VOCdevkit)."""
    split: Literal["train", "val", "trainval", "test"] = "val"
    """The lists under ImageSets/Segmentation."""
    test: Literal["test", "val"] = "test"
    """What split = "test" reads: VOC2012 has no public masks for it, and training wants one."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the list; all by default."""


City = Literal["austin", "chicago", "kitsap", "tyrol-w", "vienna"]
INRIA_CITIES: tuple[City, ...] = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")


class InriaAerialParams(Params):
    """Parameters of the Inria aerial images."""

    root: SuitePath
    """The folder with train/images and train/gt, AerialImageDataset in the archive."""
    split: Literal["train", "val", "test"] = "val"
    """val: tiles 1 to 5 of each city, train: the other 31."""
    test: Literal["refuse", "val"] = "refuse"
    """What split = "test" reads: the official one has no public masks, and training wants one."""
    cities: list[City] = Field(list(INRIA_CITIES), min_length=1)
    """Only tiles of these."""
    window: int = Field(500, ge=16)
    """Height and width of a sample in pixels."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the windows; all by default."""
    incomplete: bool = False
    """Reads the tiles that are there although others of the split are missing."""
    checksums: SuitePath | None = None
    """A file of `sha256sum` lines with names relative to root; a tile is checked before it is first read."""
