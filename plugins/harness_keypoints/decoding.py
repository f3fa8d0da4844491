"""From heatmaps to positions, as modules that export into the graph with a dynamic batch.

A heatmap pixel is two input pixels: heatmap px = (x + .5) / 2 - .5, x in input pixels, integers are pixel centers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TINY = 1e-10
_STRIDE = 2.0


Shifts = Sequence[tuple[int, int]]
"""Steps (dx, dy) from a maximum, in heatmap pixels."""
_CROSS: Shifts = ((-1, 0), (0, -1), (1, 0), (0, 1))
"""The neighbors before the maximum in x and in y, then those after it."""


class Peak(NamedTuple):
    """flat: (N, K, h * w) heatmaps; best: (N, K) int64 index of the (first) maximum; height, width: of the map.

    All keypoints, axes and neighbors are handled in one tensor: a graph of many tiny nodes costs more than the numbers.
    """

    flat: Tensor
    best: Tensor
    height: int
    width: int

    @property
    def position(self) -> Tensor:
        """(N, K, 2) int64 x, y."""
        return torch.stack([self.best % self.width, torch.div(self.best, self.width, rounding_mode="floor")], 2)

    def around(self, flat: Tensor, shifts: Shifts) -> Tensor:
        """(N, K, M) values of a map at the M shifts from the peak; at the border, of the nearest pixel inside."""
        limits = (self.width - 1, self.height - 1)
        x, y = ((self.position[..., axis, None] + torch.tensor([shift[axis] for shift in shifts])).clamp(0, limit)
                for axis, limit in enumerate(limits))
        return flat.gather(2, y * self.width + x)

    def logs(self, flat: Tensor, shifts: Shifts) -> Tensor:
        """(N, K, M) logarithms of a map around the peak, relative to its value at the peak.

        The ratio is near 1, so that float32 loses less in its logarithm than in differences of logarithms.
        """
        values = self.around(flat, [(0, 0), *shifts])
        return (values[..., 1:] / values[..., :1].clamp(min=_TINY)).clamp(min=_TINY).log()

    def inner(self, distance: int) -> Tensor:
        """(N, K, 2) bool per axis: the peak lies at least `distance` pixels inside the map."""
        beyond = torch.tensor([self.width - distance, self.height - distance])
        return (self.position >= distance) & (self.position < beyond)


def find_peak(heatmaps: Tensor) -> Peak:
    """The first maximum, in raster order, of each of the (N, K, h, w) heatmaps."""
    flat = heatmaps.flatten(2)
    return Peak(flat, flat.argmax(2), heatmaps.shape[2], heatmaps.shape[3])


class Decoder(nn.Module):
    """heatmaps (N, K, h, w) -> keypoints (N, K, 2) in input pixels, x before y, and peak heights (N, K).

    This one is `argmax`; the others add an offset to the position of the maximum.
    """

    def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        peak = find_peak(heatmaps)
        height = peak.flat.gather(2, peak.best.unsqueeze(2)).squeeze(2)
        return (peak.position + self.offset(peak) + 0.5) * _STRIDE - 0.5, height

    def offset(self, peak: Peak) -> Tensor:  # noqa: ARG002
        """(N, K, 2) or (1,) offsets in x and y in heatmap pixels."""
        return torch.zeros(1)


class QuarterOffset(Decoder):
    """A quarter of a pixel toward the higher neighbor (Newell 2016, hourglass); none at the border."""

    def offset(self, peak: Peak) -> Tensor:
        before, after = peak.around(peak.flat, _CROSS).chunk(2, 2)
        return 0.25 * (after - before).sign() * peak.inner(1)


class LogQuadratic(Decoder):
    """The vertex of the parabola through the logarithms of the maximum and its two neighbors, for each axis.

    Exact for a Gaussian. The offset is at most half a pixel; none at the border.
    """

    def offset(self, peak: Peak) -> Tensor:
        before, after = peak.logs(peak.flat, _CROSS).chunk(2, 2)
        curvature = -(before + after)
        return (0.5 * (after - before) / curvature.clamp(min=_TINY)).clamp(-0.5, 0.5) * peak.inner(1)


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

    def offset(self, peak: Peak) -> Tensor:
        west, north, east, south, west2, north2, east2, south2, nw, ne, sw, se = peak.logs(
            self._smooth(peak), (*_CROSS, (-2, 0), (0, -2), (2, 0), (0, 2), (-1, -1), (1, -1), (-1, 1), (1, 1))
        ).unbind(2)  # 0 at the peak itself
        dx, dy = 0.5 * (east - west), 0.5 * (south - north)
        dxx, dyy, dxy = 0.25 * (east2 + west2), 0.25 * (south2 + north2), 0.25 * (se - sw - ne + nw)
        determinant = dxx * dyy - dxy**2
        usable = peak.inner(2).all(2) & (dxx < 0) & (determinant > self.FLAT)
        scale = usable / torch.where(usable, determinant, torch.ones_like(determinant))
        step = torch.stack([(dxy * dy - dyy * dx) * scale, (dxy * dx - dxx * dy) * scale], 2)
        return step.clamp(-1, 1)

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
