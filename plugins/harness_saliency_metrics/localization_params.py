"""What a suite can say about the localization metrics."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.api import Params
from harness_saliency_metrics.params import Normalization, RegionParams

Fraction = Annotated[float, Field(gt=0, le=1)]


class ThresholdParams(RegionParams):
    """Parameters of a metric that judges the largest component of a thresholded map."""

    threshold: Literal["mean", "area"] | Annotated[float, Field(allow_inf_nan=False)] = "mean"
    """mean: of the map; area: as many pixels as the sum of the normalized map; or a number, compared with the
    normalized map."""
    normalize: Normalization = "min-max"
    """min-max: (S - min) / (max - min); max: negative values become 0, then S / max, so that a number is a fraction of
    the maximum; none: raw, for a number in the units of the map."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        number = isinstance(self.threshold, float | int)
        if self.normalize == "none" and self.threshold == "area":
            raise ValueError('threshold = "area" needs a normalized map')
        if number and self.normalize != "none" and not 0 <= float(self.threshold) <= 1:
            raise ValueError("threshold must be from 0 to 1, the range of a normalized map")
        return self

    @property
    def binarization(self) -> str:
        """As part of a convention."""
        return f"threshold {self.threshold} ({self.normalize})"


class LocalizationErrorParams(ThresholdParams):
    score: Literal["continuous", "hit"] = "continuous"
    """continuous: 1 - IoU; hit: 0 where the IoU exceeds 0.5, otherwise 1."""


class LrpParams(ThresholdParams):
    iou: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Smallest IoU of a true positive."""
    objects: Literal["best", "all"] = "best"
    """best: the largest component against the nearest object of the image; all: the box of every component is a
    detection and every object is to be found (masks: there is one object, every component is a detection)."""


class PixelF1Params(ThresholdParams):
    convention: Literal["binary", "continuous"] = "binary"
    """binary: the largest component (for boxes its box) is the prediction; continuous: the normalized map is, for which
    `normalize` is max by default and `threshold` has no meaning."""

    @model_validator(mode="before")
    @classmethod
    def _scale(cls, data: Any) -> Any:
        """Continuous precision is the energy metric, and scaled like it."""
        if isinstance(data, dict) and data.get("convention") == "continuous":
            return {"normalize": "max", **data}
        return data

    @model_validator(mode="after")
    def _threshold_where_used(self) -> Self:
        if self.convention == "continuous" and self.threshold != "mean":
            raise ValueError('threshold needs convention = "binary"; the continuous one has none')
        return self


class PointingParams(RegionParams):
    convention: Literal["share", "any"] = "share"
    """share: of the maxima that lie inside; any: 1 when one does."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """A maximum also counts when it is less than so many pixels away from an object pixel."""
    average: Literal["images", "classes"] = "images"
    """images: mean over images; classes: mean over the classes explained of the mean over their images."""


class EnergyParams(RegionParams):
    normalize: Literal["max", "min-max"] = "max"
    """max: negative values become 0; min-max: the minimum becomes 0."""


class MaeParams(RegionParams):
    normalize: Literal["min-max", "max"] = "min-max"
    """min-max: (S - min) / (max - min); max: negative values become 0, then S / max."""


class MaxAccuracyParams(Params):
    iou: Annotated[list[Fraction], Field(min_length=1)] | None = None
    """Smallest IoU of a hit; by default 0.5, and 0.3, 0.5 and 0.7 for v2. Each has a best threshold of its own."""
    normalize: Literal["min-max", "max"] = "min-max"
    """What the thresholds are fractions of: min-max scaled maps, or maps divided by their maximum."""

    @field_validator("iou")
    @classmethod
    def _distinct(cls, values: list[float] | None) -> list[float] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError("the values of iou must differ")
        return values


class MaxBoxAccParams(MaxAccuracyParams):
    convention: Literal["v1", "v2", "per-image", "wsol", "wsol-v2"] = "v1"
    """v1: the largest component's box; v2: every component's box; per-image: v1 with the best threshold of each image,
    an upper bound; wsol and wsol-v2: v1 and v2 exactly as clovaai/wsolevaluation computes them."""

    @model_validator(mode="after")
    def _published_scale(self) -> Self:
        if self.convention.startswith("wsol") and self.normalize != "min-max":
            raise ValueError(f'convention = "{self.convention}" is defined for normalize = "min-max"')
        return self


class MaxMaskAccParams(MaxAccuracyParams):
    convention: Literal["v1", "v2", "per-image"] = "v1"
    """v1: the largest component; v2: the component of the highest IoU; per-image: v1 with the best threshold of each
    image, an upper bound."""


class PxapParams(Params):
    convention: Literal["grid", "wsol"] = "grid"
    """grid: thresholds 0, 0.01, ..., 0.99; wsol: and 1, as clovaai/wsolevaluation does."""


class SaliencyMetricParams(ThresholdParams):
    convention: Literal["crop", "no-crop"] = "crop"
    """crop: the probability of the crop (box) or of the image with everything else at the normalized zero (mask);
    no-crop: of the whole image."""

    @property
    def requires(self) -> frozenset[str]:
        """No annotation."""
        return frozenset({"saliency", "predict"})


class WarpParams(Params):
    """How one mask is warped toward another."""

    convention: Literal["forward", "reverse"] = "forward"
    """forward: the true mask is warped toward the predicted one; reverse: the predicted one toward the true one."""
    max_distance: Annotated[float, Field(ge=0)] | None = None
    """Only pixels at most so many pixels away from the other side of the warped mask's boundary may flip; all by
    default."""

    @property
    def convention_text(self) -> str:
        """All that the number depends on."""
        return self.convention + ("" if self.max_distance is None else f", at most {self.max_distance:g} px")


class WarpingErrorParams(ThresholdParams, WarpParams):
    @property
    def convention_text(self) -> str:
        return f"{super().convention_text}, {self.binarization}"


class RankAccuracyParams(RegionParams):
    convention: Literal["area", "top-k", "concept-influence"] = "area"
    """area: k is the area of the object; top-k: k is given; concept-influence: likewise, and divided by the object's
    share of the image."""
    k: Annotated[int, Field(gt=0)] | None = None
    """Number of pixels; 1000 by default for top-k and concept-influence."""

    @model_validator(mode="after")
    def _k_where_used(self) -> Self:
        if self.convention == "area" and self.k is not None:
            raise ValueError('k needs convention = "top-k" or "concept-influence"; "area" takes that of the object')
        return self
