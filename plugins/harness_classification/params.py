"""What a suite can say about the plugins of this package."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.api import Params, Recipe, SuitePath

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Level = Annotated[float, Field(ge=0, le=255)]

SHAPES = ("cross", "disc", "ring", "square", "star", "triangle")
"""Classes of the foreground scenes, in the order of their class indices."""


class OxfordPetParams(Params):
    root: SuitePath
    """Folder of the official layout (images/, annotations/) or of the flat one (images/, trimaps/)."""
    split: Literal["all", "trainval", "test"] = "all"
    """The official lists under annotations/; the flat layout has "all" only."""
    breeds: list[str] | None = None
    """Only these breeds, named as in the files (Egyptian_Mau); all by default."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the sorted names; all by default."""


class ForegroundParams(Params):
    """Parameters of the generated scenes; ranges are [low, high], drawn uniformly for each scene."""

    split: Literal["train", "val", "test"] = "test"
    """Splits share no scene."""
    count: Positive = 500
    """Number of scenes; scene i is the same whatever the count."""
    seed: int = Field(0, ge=0)
    """Seed of all scenes."""
    size: int = Field(96, ge=32, le=512)
    """Height and width of the image in pixels."""
    scale: tuple[Fraction, Fraction] = (0.3, 0.55)
    """Diameter of the shape's circumscribed circle as a fraction of the image."""
    clutter: tuple[Annotated[int, Field(ge=0, le=200)], Annotated[int, Field(ge=0, le=200)]] = (4, 12)
    """Number of bars and dots behind the shape."""
    contrast: float = Field(55.0, ge=0, le=90)
    """Least distance of the colors of shape and background, in gray levels for each channel (root mean square)."""
    noise: tuple[Level, Level] = (0.0, 8.0)
    """Standard deviation of Gaussian noise in gray levels."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("scale", "clutter", "noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be [low, high] with low <= high, got [{low}, {high}]")
        return self


class ImageFolderParams(Params):
    """Parameters of a folder of photographs."""

    root: SuitePath
    """Folder with one folder per class, whose name is the label: root/CLASS/photograph.jpg."""
    masks: SuitePath | None = None
    """Folder of the same layout with a mask for each photograph, masks/CLASS/photograph.png: 0 is background, 1 or 255
    foreground; its tight box is the box."""
    split: Literal["all", "train", "val", "test"] = "all"
    """A folder between root and the classes, root/train/CLASS (and masks/train/CLASS); "all": there is none."""
    labels: Annotated[list[str], Field(min_length=1)] | None = None
    """Only these classes; all by default."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the sorted names; all by default."""

    @property
    def provides(self) -> frozenset[str]:
        """What metrics can count on."""
        return frozenset() if self.masks is None else frozenset({"boxes", "mask"})


class ClassifierParams(Params):
    """What all classifiers share."""

    labels: Annotated[list[str], Field(min_length=2)] | SuitePath = list(SHAPES)
    """Name of each class index, or a text file with one name per line."""
    classes: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Dataset label name -> class index, where the names differ from `labels`."""
    size: int = Field(96, ge=32, le=1024)
    """Height and width of the input in pixels."""
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    """Share of the label's probability that the loss spreads evenly over all classes (Szegedy 2016, section 7)."""
    weights: SuitePath | None = None
    """State dict that training starts from: .safetensors, or what `torch.save(module.state_dict(), ...)` wrote."""


class CamCnnParams(ClassifierParams):
    """Parameters of the CAM-ready network."""

    widths: Annotated[list[Positive], Field(min_length=1, max_length=5)] = [16, 32, 64]
    """Channels of the stages; the first convolution halves the image, as does max pooling between two stages."""


class VggParams(ClassifierParams):
    """Parameters of VGG; `labels` with 1000 names and the defaults otherwise fit torchvision's ImageNet weights."""

    depth: Literal[11, 13, 16, 19] = 16
    """Layers with weights."""
    size: int = Field(224, ge=32, le=1024)
    """Height and width of the input in pixels."""
    width: float = Field(1.0, gt=0, le=4)
    """Factor of all channels, also of the fully connected layers."""
    batch_norm: bool = False
    """Batch normalization after each convolution (torchvision's `_bn` variants)."""


class ResNetParams(ClassifierParams):
    """Parameters of ResNet; `labels` with 1000 names and the defaults otherwise fit torchvision's ImageNet weights."""

    depth: Literal[18, 34] = 18
    """Layers with weights."""
    size: int = Field(224, ge=32, le=1024)
    """Height and width of the input in pixels."""
    width: float = Field(1.0, gt=0, le=4)
    """Factor of all channels."""


class ClassifierRecipe(Recipe):
    """How the classifiers are trained by default."""

    dataset: str = "foreground"
    """Name of the dataset plugin; its own splits train, val and test are used."""
    metrics: dict[str, dict[str, Any]] = {"top-k": {"k": [1]}, "nll": {}, "brier": {}, "ece": {}}
    """Metric plugin -> its parameters, measured on the test split after export."""
    train_count: int = Field(3000, gt=0)
    """Training samples."""
    epochs: int = Field(16, ge=0)
    """Passes over the training samples; 0 exports the weights that training would start from."""
    lr: float = Field(4e-3, gt=0)
    """Learning rate; with a schedule, its highest value."""
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"
    """How the learning rate changes from step to step."""
    snapshots: int = Field(0, ge=0)
    """Validation samples whose dense outputs are kept over the epochs."""


class TopKParams(Params):
    k: list[Positive] = Field([1, 5], min_length=1)
    """A sample counts when its label is among the k highest logits; one result per value, "top-k@1"."""

    @field_validator("k")
    @classmethod
    def _distinct(cls, values: list[int]) -> list[int]:
        if len(set(values)) < len(values):
            raise ValueError("the values of k must differ")
        return values


class EceParams(Params):
    bins: Positive = 15
    """Number of equally wide bins of the top-1 probability."""
