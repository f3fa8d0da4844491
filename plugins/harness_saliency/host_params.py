"""Parameters of the generators that run on the host."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.api import Params, SuitePath

Baseline = Literal["zero", "mean", "blur"]
Score = Literal["probability", "logit"]
Positive = Annotated[int, Field(gt=0)]


class RandomParams(Params):
    """Uniform noise has no parameters."""


class CenterGaussianParams(Params):
    """How wide the bell is."""

    sigma: float = Field(0.25, gt=0)
    """Standard deviation as a fraction of the input's height, and of its width."""


class PrecomputedParams(Params):
    """Where maps lie that were made elsewhere."""

    path: SuitePath
    """One file for each sample, with `{id}` in its name (maps/{id}.npy, .npz or .png), or one .npz with `ids`."""
    array: str = "maps"
    """Of an .npz: the array with the maps; a file with a single array needs no name."""
    covers: Literal["input", "image"] = "input"
    """What a map covers: the model's input, after any crop or letterbox, or the photograph as it was. Maps of another
    size are scaled (bilinear, antialiased), those of the photograph as the photograph is, 0 in its margins."""


class PassParams(Params):
    """What all methods share that run the model many times."""

    batch_size: Positive | None = None
    """Forward passes at a time; by default it goes by the size of the model's input and by the backend."""


class OcclusionParams(PassParams):
    """What is covered, and by what."""

    window: Positive | None = None
    """Side of the square patch in pixels; by default 1/6 of the input's shorter side."""
    stride: Positive | None = None
    """Pixels from one patch to the next; by default half the window."""
    baseline: Baseline = "zero"
    """What covers: zero (of the normalized input), the image's mean color, or the image blurred."""
    score: Score = "probability"
    """What drops: the class's softmax probability, or its logit."""


class RiseParams(PassParams):
    """How the random masks are drawn."""

    masks: Positive = 4000
    """Random masks, each a forward pass."""
    cells: Positive = 7
    """Cells of a mask in each direction, before it is enlarged."""
    keep: float = Field(0.5, gt=0, lt=1)
    """Probability that a cell shows the image."""
    baseline: Baseline = "zero"
    """What is behind the mask: zero (of the normalized input, as published), the mean color, or the image blurred."""
    score: Score = "probability"
    """What weighs a mask: the class's softmax probability, as published, or its logit."""

    @property
    def passes(self) -> float:
        return float(self.masks)


class ScoreCamParams(PassParams):
    """How channels are weighed."""

    weights: Literal["softmax", "probability"] = "softmax"
    """softmax: over the channels, of the class's logit for each masked image (the paper, algorithm 1); probability: the
    class's softmax probability for each masked image (the authors' program)."""


class AblationCamParams(PassParams):
    """What a missing channel costs."""

    score: Score = "logit"
    """The class's logit, as published, or its softmax probability."""


class KernelShapParams(PassParams):
    """The players and how many coalitions are run."""

    grid: tuple[Positive, Positive] = (7, 7)
    """Rows and columns of rectangles: the superpixels that share the score among them."""
    samples: Positive = 1024
    """Coalitions, each a forward pass; all of them where there are fewer, and then Shapley values are exact."""
    baseline: Baseline = "mean"
    """What an absent superpixel shows: the image's mean color, zero (of the normalized input), or the image blurred."""
    score: Score = "logit"
    """What is shared out: the class's logit, or its softmax probability."""

    @property
    def passes(self) -> float:
        return float(self.samples + 2)  # those of the image and of the baseline

    @model_validator(mode="after")
    def _enough(self) -> Self:
        players = self.grid[0] * self.grid[1]
        if self.samples < 2 * players and self.samples < 2**players - 2:
            raise ValueError(f"{self.samples} samples are too few for {players} superpixels: give at least "
                             f"{2 * players}, or a coarser grid")
        return self
