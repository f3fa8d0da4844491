"""What a suite may say about quantization; light, because it is needed to validate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.params import Params


class Int8Settings(Params):
    """How a model is quantized."""

    method: Literal["minmax", "percentile", "entropy"] = "minmax"
    """How the range of an activation is found: its extremes, the 99.999th percentile of magnitudes, or the range with
    the least loss of information (Migacz 2017). The last two hold histograms of everything in memory."""
    per_channel: bool = True
    """Each output channel's weights have a scale of their own."""
    reduce_range: bool = False
    """Weights in 7 bits, for CPUs without VNNI, whose 16-bit sums may overflow."""
    min_channels: int = Field(8, ge=1)
    """A convolution over fewer input channels (the first one, on colors) stays in float: integer kernels work on
    groups of channels, so that it gains no time there, and it loses most."""
