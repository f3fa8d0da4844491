"""Parameters of this plugin's datasets, models and metrics; light, because validation imports it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from harness.api import Params, Recipe

KEYPOINTS = ("head", "left hand", "right hand", "left foot", "right foot")
"""Order of the keypoints. Left and right are the figure's own; it faces the viewer."""

Level = Annotated[float, Field(ge=0, le=255)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class StickFiguresParams(Params):
    """Parameters of the generated figures; ranges are [low, high], drawn uniformly for each figure."""

    split: Literal["train", "val", "test"] = "test"
    """Splits share no figure."""
    count: int = Field(500, gt=0)
    """Number of figures; figure i is the same whatever the count."""
    seed: int = Field(0, ge=0)
    """Seed of all figures."""
    size: int = Field(128, ge=32, le=1024)
    """Height and width of the image in pixels."""
    scale: tuple[Fraction, Fraction] = (0.35, 0.65)
    """Height of the upright figure as a fraction of the image: decides the difficulty, because the tolerance of PCK
    shrinks with the figure. A figure that does not fit at its drawn scale is shrunk until it does."""
    tilt: float = Field(25.0, ge=0, le=45)
    """Largest rotation of the whole figure to either side, in degrees."""
    limb_width: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (2.0, 4.0)
    """Width of the limbs in pixels."""
    background: tuple[Level, Level] = (0.0, 80.0)
    """Gray level behind the figure."""
    contrast: tuple[Level, Level] = (60.0, 160.0)
    """Gray levels by which the figure is brighter than its background."""
    noise: tuple[Level, Level] = (0.0, 12.0)
    """Standard deviation of Gaussian noise in gray levels."""
    margin: float = Field(4.0, ge=0, le=8)
    """Smallest distance in pixels of the figure's outline from the image's border."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("scale", "limb_width", "background", "contrast", "noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be [low, high] with low <= high, got [{low}, {high}]")
        return self


class HeatmapNetParams(Params):
    """Parameters of HeatmapNet."""

    loss: Literal["mse", "bce"] = "mse"
    """mse: squared error to the Gaussian; bce: per-pixel binary cross-entropy with the Gaussian as soft label."""
    sigma: float = Field(2.0, gt=0, le=8)
    """Standard deviation of the Gaussian labels in heatmap pixels (one is two input pixels)."""
    decoder: Literal["argmax", "quarter-offset", "log-quadratic", "dark"] = "log-quadratic"
    """How the position is read from a heatmap; part of the exported graph."""


class HeatmapNetRecipe(Recipe):
    """How HeatmapNet is trained by default."""

    dataset: str = "stick-figures"
    """Name of the dataset plugin; its own splits train, val and test are used."""
    metrics: dict[str, dict[str, Any]] = {"pck": {}, "peak-calibration": {}}
    """Metric plugin -> its parameters, measured on the test split after export."""


class RegressionNetParams(Params):
    """RegressionNet has no parameters."""


class RegressionNetRecipe(Recipe):
    """How RegressionNet is trained by default."""

    dataset: str = "stick-figures"
    """Name of the dataset plugin; its own splits train, val and test are used."""
    metrics: dict[str, dict[str, Any]] = {"pck": {}}
    """Metric plugin -> its parameters, measured on the test split after export."""


class PckParams(Params):
    """Parameters of PCK."""

    fractions: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)] = [0.05, 0.1, 0.15, 0.2]
    """Tolerances as fractions of the diagonal of the tight box of a figure's visible keypoints."""


class PeakCalibrationParams(Params):
    """Peak calibration has no parameters."""
