"""Image perturbations on native uint8 images (H, W, C); deterministic, shape and dtype kept, the input unchanged."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
FULL_RANGE = 255


def noise(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Add independent Gaussian noise of standard deviation sigma * 255 to every channel, round and clip."""
    return _uint8(image + rng.normal(0.0, sigma * FULL_RANGE, image.shape))


def blur(image: Image, sigma: float) -> Image:
    """Gaussian of `sigma` pixels, truncated at 4 sigma and renormalized; the border is repeated outward."""
    from scipy.ndimage import gaussian_filter

    return _uint8(gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest", truncate=4.0))


def contrast(image: Image, factor: float) -> Image:
    """Scale the distance of all values to their mean over pixels and channels, round and clip."""
    mean = image.mean()
    return _uint8(mean + factor * (image - mean))


def occlude(image: Image, fraction: float, value: int, rng: np.random.Generator) -> Image:
    """Cover one rectangle, uniformly placed, with the gray `value`.

    It has the image's aspect ratio, rounded so that its area is as near to fraction * H * W as its height allows.
    """
    height, width = occluder_size(image.shape[0], image.shape[1], fraction)
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    covered = image.copy()
    covered[top : top + height, left : left + width] = value
    return covered


def occluder_size(height: int, width: int, fraction: float) -> tuple[int, int]:
    """Height and width of the occluder; its area differs from fraction * height * width by at most half its height."""
    rows = min(height, ceil(height * sqrt(fraction)))  # rounded up, so that the columns can never exceed the width
    return rows, min(width, round(fraction * height * width / rows)) if rows else 0


def _uint8(values: NDArray[np.float64]) -> Image:
    return np.clip(np.rint(values), 0, FULL_RANGE).astype(np.uint8)
