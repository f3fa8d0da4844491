"""What a suite can say about the faithfulness metrics."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.api import Params

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class ConventionParams(Params):
    """Parameters of which all that decide about the number are part of its convention."""

    @property
    def convention_text(self) -> str:
        """`default`, or the parameters that differ from their defaults, as "steps=50 baseline=blur"."""
        silent = {"budget"}
        chosen = {name: value for name, value in self.model_dump(mode="json").items()
                  if name not in silent and value != type(self).model_fields[name].default}
        main = chosen.pop("convention", None)
        parts = ([str(main)] if main else []) + [f"{name}={value}" for name, value in chosen.items()]
        return " ".join(parts) or "default"


class AverageDropParams(ConventionParams):
    """Parameters of average-drop."""

    convention: Literal["default", "abs", "unnormalized", "top50", "pixels"] = "default"
    """default: max(0, p - o) / p, the map multiplies the normalized input; abs: the magnitude of p - o, over p;
    unnormalized: max(0, p - o) (pytorch-grad-cam); top50: the lower half of the map's pixels is muted first
    (Score-CAM); pixels: the map multiplies the raw pixels."""


class AverageIncreaseParams(ConventionParams):
    """Parameters of average-increase."""

    convention: Literal["default", "ties"] = "default"
    """default: an image counts when o > p; ties: when o >= p."""


class CurveParams(ConventionParams):
    """What insertion, deletion and pixel-flipping share."""

    steps: Positive | None = None
    """Number of steps; by default each step changes as many pixels as a row of the image has."""

    @property
    def passes(self) -> int:
        """Forward passes for each sample; without `steps` those of a usual input."""
        return (self.steps or 224) + 1


class DeletionParams(CurveParams):
    """Parameters of deletion."""

    baseline: Literal["zero", "blur", "rise"] = "zero"
    """What removed pixels become: zero of the normalized input; blur, rise: as for insertion."""
    relative: bool = False
    """Divide by the probability on the original image."""


class InsertionParams(CurveParams):
    """Parameters of insertion."""

    baseline: Literal["blur", "rise", "zero"] = "blur"
    """What pixels are inserted into: blur: the normalized image under an 11x11 Gaussian of sigma 5, truncated and
    renormalized; rise: under the kernel of RISE's script, whose tails are folded back; zero of the normalized input."""
    relative: bool = False
    """Divide by the probability on the original image."""


class PixelFlippingParams(CurveParams):
    """Parameters of pixel-flipping."""

    baseline: Literal["zero", "blur", "rise"] = "zero"
    """What removed pixels become: zero of the normalized input; blur, rise: as for insertion."""


class RoadParams(ConventionParams):
    """Parameters of road."""

    removed: list[Share] = Field([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], min_length=1)
    """Shares of the pixels that are removed and imputed."""
    noise: float = Field(0.01, ge=0)
    """Standard deviation of the noise on imputed values, in units of the normalized input."""

    @property
    def passes(self) -> int:
        """Forward passes for each sample."""
        return 2 * len(self.removed)


class BudgetParams(ConventionParams):
    """Parameters of a metric that makes further maps."""

    budget: float = Field(2000.0, gt=0)
    """The most forward passes for one sample that further maps may cost; a generator that needs more is refused."""

    @property
    def maps(self) -> int:
        """Further maps for each sample."""
        return 1


class CoherencyParams(BudgetParams):
    """Parameters of coherency."""


class AdccParams(BudgetParams):
    """Parameters of adcc."""


class InfidelityParams(ConventionParams):
    """Parameters of infidelity."""

    perturbation: Literal["square", "gaussian"] = "square"
    """square: a random square becomes zero of the normalized input; gaussian: normal noise is subtracted."""
    draws: Positive = 100
    """Perturbations of each image."""
    side: float = Field(0.25, gt=0, le=1)
    """Side of the square as a share of the image's shorter side."""
    sigma: float = Field(0.2, gt=0)
    """Standard deviation of the noise, in units of the normalized input."""

    @model_validator(mode="after")
    def _where_used(self) -> Self:
        unused, other = ("sigma", "gaussian") if self.perturbation == "square" else ("side", "square")
        if getattr(self, unused) != type(self).model_fields[unused].default:
            raise ValueError(f'{unused} needs perturbation = "{other}"')
        return self

    @property
    def passes(self) -> int:
        """Forward passes for each sample."""
        return self.draws + 1


class MaxSensitivityParams(BudgetParams):
    """Parameters of max-sensitivity."""

    draws: Positive = 10
    """Perturbed inputs, each with a map of its own."""
    radius: float = Field(0.02, gt=0)
    """Largest change of an input value, in units of the normalized input; changes are uniform."""

    @property
    def maps(self) -> int:
        return self.draws


class ParameterRandomizationParams(BudgetParams):
    """Parameters of parameter-randomization."""

    layers: Positive = 5
    """Depths at which maps are compared, evenly spaced from the top layer alone to all layers."""
    values: Literal["normal", "permuted"] = "normal"
    """What weights become: normal with the mean and standard deviation of the tensor, or its own values permuted."""

    @property
    def maps(self) -> int:
        return self.layers
