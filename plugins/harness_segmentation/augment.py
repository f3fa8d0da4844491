"""Augmentation on batches of tensors: mirror images, quarter turns and elastic deformation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_GRID = 3
"""Control points of the elastic deformation along each axis (Ronneberger 2015, section 3.1)."""

Transform = Callable[[Tensor], Tensor]


def flip(rng: np.random.Generator, square: bool) -> Transform:
    """One of the symmetries of the square (of the rectangle), for tensors (..., H, W); exact."""
    mirror, turns = bool(rng.integers(2)), int(rng.integers(4)) if square else 2 * int(rng.integers(2))

    def transform(values: Tensor) -> Tensor:
        values = values.flip(-1) if mirror else values
        return torch.rot90(values, turns, (-2, -1))

    return transform


def displacement(rng: np.random.Generator, height: int, width: int, sigma: float) -> Tensor:
    """(1, H, W, 2) sampling grid of a smooth random deformation, for `grid_sample` with align_corners = False.

    Gaussian displacements in pixels on a 3 x 3 grid, interpolated bicubically.
    """
    coarse = torch.from_numpy(rng.normal(0, sigma, (1, 2, _GRID, _GRID)).astype(np.float32))
    offsets = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    moved_x, moved_y = x + offsets[0], y + offsets[1]
    return torch.stack([(2 * moved_x + 1) / width - 1, (2 * moved_y + 1) / height - 1], dim=-1)[None]


def warp(values: Tensor, grid: Tensor, *, nearest: bool) -> Tensor:
    """(C, H, W) float32 resampled at the grid; beyond the borders mirrored."""
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(values[None], grid, mode=mode, padding_mode="reflection", align_corners=False)[0]


def inner(grid: Tensor, margin: int) -> Tensor:
    """The same deformation for a map that lacks `margin` pixels on each side."""
    height, width = grid.shape[1:3]
    part = grid[:, margin : height - margin, margin : width - margin]
    # A position keeps its distance in pixels from the common center: normalized coordinates scale with the size.
    scale = torch.tensor([width / (width - 2 * margin), height / (height - 2 * margin)])
    return part * scale
