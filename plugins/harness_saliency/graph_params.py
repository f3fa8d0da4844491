"""Parameters of the generators that work inside of a graph."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api import Params, SuitePath

Channels = Literal["max-abs", "mean-abs", "sum"]
Sign = Literal["none", "relu", "abs"]
Upsampling = Literal["linear", "nearest", "cubic"]
GRADIENT_PASSES = 2.5
"""What a forward and a backward pass cost together, in forward passes."""


class ImageGradientParams(Params):
    """How values at the image's channels become a map."""

    channels: Channels = "max-abs"
    """max-abs: the largest absolute value over the channels (Simonyan 2014); mean-abs: mean of absolute values; sum."""
    sign: Sign = "none"
    """relu: negative values of the map become 0; abs: absolute values."""


class SummedGradientParams(ImageGradientParams):
    """The same for attributions, which add up."""

    channels: Channels = "sum"
    """max-abs: the largest absolute value over the channels; mean-abs: mean of absolute values; sum: the attribution
    of a pixel."""


class ActivationMapParams(Params):
    """How a map at a layer's size becomes one at the image's."""

    sign: Sign = "none"
    """relu: negative values become 0, before upsampling; abs: absolute values."""
    upsampling: Upsampling = "linear"
    """linear: bilinear at half-pixel centers, borders repeated; nearest: the pixel that covers the center; cubic: with
    coefficient -0.75."""


class GradCamParams(ActivationMapParams):
    """How a map at a layer's size becomes one at the image's."""

    sign: Sign = "relu"
    """relu: negative values become 0, before upsampling, as published; abs: absolute values."""


class EigenCamParams(ActivationMapParams):
    """The first principal component of a layer."""

    center: bool = False
    """Subtract each channel's mean over the image first, which the paper does not do."""
    squarings: int = Field(10, ge=1, le=16)
    """Squarings of the Gram matrix: n of them are 2^n power iterations."""


class GuidedGradCamParams(ImageGradientParams):
    """Guided backpropagation where Grad-CAM is positive."""

    upsampling: Upsampling = "linear"
    """Of the Grad-CAM map, see `grad-cam`."""


class LrpParams(SummedGradientParams):
    """How relevance passes linear layers."""

    rule: Literal["epsilon-plus", "epsilon"] = "epsilon-plus"
    """epsilon-plus: z+ for convolutions, epsilon for the rest (Kohlbrenner 2020); epsilon: everywhere."""
    epsilon: float = Field(1e-6, gt=0)
    """What denominators are kept away from 0 by."""


class IntegratedGradientsParams(SummedGradientParams):
    """A path from a baseline to the image."""

    steps: int = Field(32, ge=1)
    """Points on the path; each costs a forward and a backward pass."""
    rule: Literal["gauss-legendre", "trapezoid", "middle", "left", "right"] = "gauss-legendre"
    """Quadrature; the last three are Riemann sums."""
    baseline: Literal["zero", "black", "white"] = "zero"
    """zero: normalized zero; black, white: pixels 0 and 255 as the model sees them."""

    @property
    def passes(self) -> float:
        return GRADIENT_PASSES * self.steps


class SmoothGradParams(ImageGradientParams):
    """Gradients under Gaussian noise."""

    samples: int = Field(16, ge=1)
    """Noisy images; each costs a forward and a backward pass."""
    sigma: float = Field(0.15, gt=0)
    """Standard deviation of the noise as a fraction of the image's own range, largest minus smallest input value."""
    variant: Literal["mean", "squared", "variance"] = "mean"
    """mean: Smilkov 2017; squared: mean of squared gradients (Hooker 2019); variance: VarGrad (Adebayo 2018)."""

    @property
    def passes(self) -> float:
        return GRADIENT_PASSES * self.samples


class ExpectedGradientsParams(SummedGradientParams):
    """Baselines drawn at random, and one point on the path from each."""

    samples: int = Field(32, ge=1)
    """Baselines; each costs a forward and a backward pass."""
    background: SuitePath | None = None
    """A folder of images to draw from; without it, baselines are uniform noise between black and white."""

    @property
    def passes(self) -> float:
        return GRADIENT_PASSES * self.samples
