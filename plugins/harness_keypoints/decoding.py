"""From heatmaps to positions, as modules that export into the graph with a dynamic batch.

A heatmap pixel is two input pixels: heatmap px = (x + .5) / 2 - .5, x in input pixels, integers are pixel centers.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TINY = 1e-10
_STRIDE = 2.0


class Peak(NamedTuple):
    """flat: (N, K, h * w) heatmaps; x, y: (N, K) int64 position of the (first) maximum; height, width: of the map."""

    flat: Tensor
    x: Tensor
    y: Tensor
    height: int
    width: int

    def at(self, flat: Tensor, dx: int, dy: int) -> Tensor:
        """(N, K) values of a map at the peak shifted by dx, dy; at the border, of the nearest pixel inside."""
        x = (self.x + dx).clamp(0, self.width - 1)
        y = (self.y + dy).clamp(0, self.height - 1)
        return flat.gather(2, (y * self.width + x).unsqueeze(2)).squeeze(2)

    def log(self, flat: Tensor, dx: int, dy: int) -> Tensor:
        """(N, K) logarithms of a map around the peak, relative to its value at the peak.

        The ratio is near 1, so that float32 loses less in its logarithm than in differences of logarithms.
        """
        ratio = self.at(flat, dx, dy) / self.at(flat, 0, 0).clamp(min=_TINY)
        return ratio.clamp(min=_TINY).log()

    def inner(self, distance: int) -> tuple[Tensor, Tensor]:
        """(N, K) bool per axis: the peak lies at least `distance` pixels inside the map."""
        inner_x = (self.x >= distance) & (self.x < self.width - distance)
        return inner_x, (self.y >= distance) & (self.y < self.height - distance)


def find_peak(heatmaps: Tensor) -> Peak:
    """The first maximum, in raster order, of each of the (N, K, h, w) heatmaps."""
    height, width = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)
    index = flat.argmax(2)
    return Peak(flat, index % width, torch.div(index, width, rounding_mode="floor"), height, width)


class Decoder(nn.Module):
    """heatmaps (N, K, h, w) -> keypoints (N, K, 2) in input pixels, x before y, and peak heights (N, K).

    This one is `argmax`; the others add an offset to the position of the maximum.
    """

    def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        peak = find_peak(heatmaps)
        offset_x, offset_y = self.offset(peak)
        position = torch.stack([peak.x + offset_x, peak.y + offset_y], dim=2)
        return (position + 0.5) * _STRIDE - 0.5, peak.at(peak.flat, 0, 0)

    def offset(self, peak: Peak) -> tuple[Tensor, Tensor]:
        """(N, K) offsets in x and y in heatmap pixels."""
        zero = torch.zeros_like(peak.x, dtype=peak.flat.dtype)
        return zero, zero


class QuarterOffset(Decoder):
    """A quarter of a pixel toward the higher neighbor (Newell 2016, hourglass); none at the border."""

    def offset(self, peak: Peak) -> tuple[Tensor, Tensor]:
        inner_x, inner_y = peak.inner(1)
        slope_x = peak.at(peak.flat, 1, 0) - peak.at(peak.flat, -1, 0)
        slope_y = peak.at(peak.flat, 0, 1) - peak.at(peak.flat, 0, -1)
        return 0.25 * slope_x.sign() * inner_x, 0.25 * slope_y.sign() * inner_y


class LogQuadratic(Decoder):
    """The vertex of the parabola through the logarithms of the maximum and its two neighbors, for each axis.

    Exact for a Gaussian. The offset is at most half a pixel; none at the border.
    """

    def offset(self, peak: Peak) -> tuple[Tensor, Tensor]:
        inner_x, inner_y = peak.inner(1)
        return _vertex(peak, 1, 0) * inner_x, _vertex(peak, 0, 1) * inner_y


class Dark(Decoder):
    """Distribution-aware coordinate representation (Zhang 2020, section 3.2): one Newton step on the logarithm.

    The heatmap is smoothed with the Gaussian of the labels first; derivatives are central differences. The step is at
    most one pixel per axis. It is left out closer than two pixels to the border, and where the logarithm is no clear
    maximum: not concave, or with a determinant of the Hessian below 1e-4 (of Gaussians with sigma 2 it is 1/64).
    """

    FLAT = 1e-4

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.radius = max(1, round(2.5 * sigma))
        steps = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32)
        kernel = torch.exp(-(steps**2) / (2 * sigma**2))
        self.kernel: Tensor
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)

    def offset(self, peak: Peak) -> tuple[Tensor, Tensor]:
        log = partial(peak.log, self._smooth(peak))  # 0 at the peak itself
        dx = 0.5 * (log(1, 0) - log(-1, 0))
        dy = 0.5 * (log(0, 1) - log(0, -1))
        dxx = 0.25 * (log(2, 0) + log(-2, 0))
        dyy = 0.25 * (log(0, 2) + log(0, -2))
        dxy = 0.25 * (log(1, 1) - log(-1, 1) - log(1, -1) + log(-1, -1))
        determinant = dxx * dyy - dxy**2
        inner_x, inner_y = peak.inner(2)
        usable = inner_x & inner_y & (dxx < 0) & (determinant > self.FLAT)
        scale = usable / torch.where(usable, determinant, torch.ones_like(determinant))
        return ((dxy * dy - dyy * dx) * scale).clamp(-1, 1), ((dxy * dx - dxx * dy) * scale).clamp(-1, 1)

    def _smooth(self, peak: Peak) -> Tensor:
        """(N, K, h * w): each map under the separable Gaussian of the labels; zero outside."""
        maps = peak.flat.reshape(-1, 1, peak.height, peak.width)
        maps = F.conv2d(maps, self.kernel.view(1, 1, 1, -1), padding=(0, self.radius))
        maps = F.conv2d(maps, self.kernel.view(1, 1, -1, 1), padding=(self.radius, 0))
        return maps.reshape(peak.flat.shape)


def create(name: str, sigma: float) -> Decoder:
    """The decoder called `name`; sigma: standard deviation of the labels in heatmap pixels."""
    makers = {"argmax": Decoder, "quarter-offset": QuarterOffset, "log-quadratic": LogQuadratic}
    return Dark(sigma) if name == "dark" else makers[name]()


def _vertex(peak: Peak, dx: int, dy: int) -> Tensor:
    before, after = peak.log(peak.flat, -dx, -dy), peak.log(peak.flat, dx, dy)
    curvature = -(before + after)
    return (0.5 * (after - before) / curvature.clamp(min=_TINY)).clamp(-0.5, 0.5)
