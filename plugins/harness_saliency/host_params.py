"""Parameters of the generators that run on the host."""

from __future__ import annotations

from pydantic import Field

from harness.api import Params


class RandomParams(Params):
    """Uniform noise has no parameters."""


class CenterGaussianParams(Params):
    """How wide the bell is."""

    sigma: float = Field(0.25, gt=0)
    """Standard deviation as a fraction of the input's height, and of its width."""
