"""Linear interpolation of saliency maps, separable: one small matrix per axis.

Half-pixel centers, edges clamped: what PyTorch calls bilinear with align_corners=False, ONNX Resize linear with
half_pixel, and OpenCV INTER_LINEAR. It is not antialiased when it shrinks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.geometry import Fit

Floats = NDArray[np.float32]


def linear_weights(positions: NDArray[Any], length: int) -> Floats:
    """(P, length) float32 weights that interpolate `length` pixels at the given positions.

    positions: (P,) pixel centers at integers; beyond the first and the last pixel their values continue.
    """
    clamped = np.clip(positions, 0, length - 1)
    low = np.minimum(np.floor(clamped).astype(np.int64), max(0, length - 2))
    weight = clamped - low
    matrix = np.zeros((len(clamped), length), np.float64)
    rows = np.arange(len(clamped))
    matrix[rows, low] = 1 - weight
    matrix[rows, np.minimum(low + 1, length - 1)] += weight
    return matrix.astype(np.float32)


def scaling_weights(target: int, length: int) -> Floats:
    """(target, length) float32 weights that scale `length` pixels to `target` pixels."""
    return linear_weights((np.arange(target) + 0.5) * (length / target) - 0.5, length)


def resize_maps(maps: NDArray[Any], size: tuple[int, int]) -> Floats:
    """(..., h, w) -> (..., H, W) float32, size = (H, W)."""
    if maps.shape[-2:] == tuple(size):
        return maps.astype(np.float32, copy=False)
    rows, columns = scaling_weights(size[0], maps.shape[-2]), scaling_weights(size[1], maps.shape[-1])
    return np.asarray(rows @ maps.astype(np.float32, copy=False) @ columns.T, np.float32)


def scaled_map(values: NDArray[Any], size: tuple[int, int]) -> Floats:
    """(h, w) -> (H, W) float32, size = (H, W): bilinear, antialiased where it shrinks, as photographs are."""
    picture = Image.fromarray(values.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32)


def map_to_input(values: NDArray[Any], fit: Fit) -> Floats:
    """(h, w) over a whole photograph, at any size -> (H, W) float32 at the model's input size, placed as it is.

    Scaled by `scaled_map`; 0 in the margins of a letterbox.
    """
    scaled = scaled_map(values, (round(fit.native.height * fit.scale_y), round(fit.native.width * fit.scale_x)))
    canvas = Image.new("F", (fit.size.width, fit.size.height))
    canvas.paste(Image.fromarray(scaled), (int(fit.offset_x), int(fit.offset_y)))
    return np.asarray(canvas, np.float32)


def map_to_native(values: NDArray[Any], fit: Fit, size: tuple[int, int] | None = None) -> Floats:
    """(H, W) at the model's input size -> float32 over the whole photograph, NaN where it was cropped away.

    size: (height, width) of the result, by default that of the photograph.
    """
    height, width = size or fit.native
    rows = _seen((np.arange(height) + 0.5) * (fit.native.height / height) * fit.scale_y + fit.offset_y, len(values))
    columns = _seen((np.arange(width) + 0.5) * (fit.native.width / width) * fit.scale_x + fit.offset_x,
                    values.shape[1])
    return np.asarray(rows @ values.astype(np.float32) @ columns.T, np.float32)


def _seen(edges: NDArray[Any], length: int) -> Floats:
    """Weights at edge coordinates of the input; NaN beyond it."""
    weights = linear_weights(edges - 0.5, length)
    weights[(edges < 0) | (edges > length)] = np.nan
    return weights
