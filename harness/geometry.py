"""From native images to a model's input and back: resize, crop, letterbox and their inverses, in one place.

Coordinates: points use pixel centers at integers, so a point p lies at edge coordinate p + 0.5; boxes are edges.
Between native and input pixels, edges map by one affine function per axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.card import InputSpec

Floats = NDArray[np.float32]
_BILINEAR = Image.Resampling.BILINEAR  # antialiased by Pillow when it shrinks


class Size(NamedTuple):
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Fit:
    """How one native image was placed into the model's input: input edge = native edge * scale + offset."""

    native: Size
    size: Size
    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def points_to_input(self, points: NDArray[Any]) -> Floats:
        """(..., 2) x, y in native pixels -> model input pixels; not clipped."""
        return np.asarray((points + 0.5) * self._scale + self._offset - 0.5, np.float32)

    def points_to_native(self, points: NDArray[Any]) -> Floats:
        """(..., 2) x, y in model input pixels -> native pixels; not clipped."""
        return np.asarray((points + 0.5 - self._offset) / self._scale - 0.5, np.float32)

    def boxes_to_input(self, boxes: NDArray[Any]) -> Floats:
        """(..., 4) edges in native pixels -> model input pixels; not clipped."""
        return np.asarray(boxes * np.tile(self._scale, 2) + np.tile(self._offset, 2), np.float32)

    def boxes_to_native(self, boxes: NDArray[Any]) -> Floats:
        """(..., 4) edges in model input pixels -> native pixels; not clipped."""
        return np.asarray((boxes - np.tile(self._offset, 2)) / np.tile(self._scale, 2), np.float32)

    def mask_to_input(self, mask: NDArray[Any], outside: Any = 0) -> NDArray[Any]:
        """(H, W) native -> (h, w) at the model's input size by nearest neighbor; `outside` fills a letterbox."""
        return _nearest(mask, self.size, self.scale_x, self.scale_y, self.offset_x, self.offset_y, outside)

    def mask_to_native(self, mask: NDArray[Any], outside: Any = 0) -> NDArray[Any]:
        """(h, w) at the model's input size -> (H, W) native by nearest neighbor; `outside` fills what was cropped."""
        return _nearest(mask, self.native, 1 / self.scale_x, 1 / self.scale_y, -self.offset_x / self.scale_x,
                        -self.offset_y / self.scale_y, outside)

    @property
    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y])

    @property
    def _offset(self) -> NDArray[np.float64]:
        return np.array([self.offset_x, self.offset_y])


def prepare(images: Sequence[NDArray[np.uint8]], spec: InputSpec) -> tuple[Floats, list[Fit]]:
    """Native images -> one contiguous float32 batch in the model's layout, and how each was placed.

    images: (H, W, C) uint8, C = 1, 3 (RGB) or 4 (RGB and a map). Returns (N, C, h, w) or (N, h, w, C).
    """
    placed = [fit_image(image, spec) for image in images]
    pixels = np.stack([pixel for pixel, _ in placed])
    return normalize(pixels, spec), [fit for _, fit in placed]


def fit_image(image: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.uint8], Fit]:
    """One native image -> (h, w, C) uint8 at the model's input size and in its color order, and how it was placed."""
    fit = place(Size(*image.shape[:2]), spec)
    native, size, left, top = fit.native, fit.size, int(fit.offset_x), int(fit.offset_y)
    if spec.fit == "tile":
        return mirrored_window(colored(image, spec.color), -top, -left, size), fit
    picture = _colored(image, spec.color)
    scaled = Size(round(native.height * fit.scale_y), round(native.width * fit.scale_x))
    if scaled != native:
        picture = _resized(picture, scaled)
    if scaled != size:
        fill = spec.fill if picture.mode == "L" else (spec.fill,) * spec.channels
        canvas = Image.new(picture.mode, (size.width, size.height), fill)
        canvas.paste(picture, (left, top))
        picture = canvas
    pixels = np.asarray(picture, np.uint8).reshape(size.height, size.width, spec.channels)
    if spec.color == "BGR":
        pixels = pixels[:, :, ::-1]
    return pixels, fit


def place(native: Size, spec: InputSpec) -> Fit:
    """How an image of this size is placed into the model's input."""
    size = Size(*spec.size)
    if spec.fit == "tile":
        top, left = (size.height - native.height) // 2, (size.width - native.width) // 2
        return Fit(native, size, 1, 1, left, top)
    if spec.fit == "stretch":
        scaled, (left, top) = size, (0, 0)
    else:
        scaled = _scaled_size(native, size, spec)
        left, top = round((size.width - scaled.width) / 2), round((size.height - scaled.height) / 2)
    return Fit(native, size, scaled.width / native.width, scaled.height / native.height, float(left), float(top))


def colored(image: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """(H, W, C) uint8 native image -> (H, W, c) uint8 in a model's color order, its size unchanged."""
    pixels = np.asarray(_colored(image, color), np.uint8).reshape(*image.shape[:2], -1)
    return pixels[:, :, ::-1] if color == "BGR" else pixels


def mirrored_window(image: NDArray[Any], top: int, left: int, size: Size) -> NDArray[Any]:
    """(H, W, ...) -> (height, width, ...) from row `top`, column `left`; beyond its borders the image is mirrored.

    The border pixel is not repeated (Ronneberger 2015, figure 2); a window much larger than the image sees it several
    times. Only the window is copied, so that the image may be a memory map.
    """
    rows = _mirrored(np.arange(top, top + size.height), image.shape[0])
    columns = _mirrored(np.arange(left, left + size.width), image.shape[1])
    return np.asarray(image[rows[:, None], columns[None]])


def normalize(pixels: NDArray[np.uint8], spec: InputSpec) -> Floats:
    """(N, h, w, C) uint8 -> float32 values in the model's range and layout, contiguous."""
    # Divisions in float32 and in the usual order, so that the values are bit for bit those of (x / 255 - mean) / std
    # and of x / 127.5 - 1: a last bit in the input moves logits by more than 1e-5.
    if spec.mean is not None and spec.std is not None:
        values = (pixels / np.float32(255) - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    else:
        low, high = spec.range or (0.0, 1.0)
        values = pixels / np.float32(255 / (high - low)) + np.float32(low)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2) if spec.layout == "NCHW" else values)


def _scaled_size(native: Size, size: Size, spec: InputSpec) -> Size:
    if spec.fit == "crop" and spec.resize:  # torchvision's Resize truncates the longer side
        return Size(native.height * spec.resize // min(native), native.width * spec.resize // min(native))
    ratios = size.height / native.height, size.width / native.width
    scale = min(ratios) if spec.fit == "letterbox" else max(ratios)
    scaled = Size(max(1, round(native.height * scale)), max(1, round(native.width * scale)))
    if spec.fit == "crop":  # rounding must not leave a gap at the border
        return Size(max(scaled.height, size.height), max(scaled.width, size.width))
    return scaled


def _colored(image: NDArray[np.uint8], color: str) -> Image.Image:
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return picture.convert({"GRAY": "L", "RGBA": "RGBA"}.get(color, "RGB"))


def _resized(picture: Image.Image, size: Size) -> Image.Image:
    if picture.mode == "RGBA":  # Pillow would take the fourth channel for opacity, and black out what it hides
        return Image.merge("RGBA", [_resized(band, size) for band in picture.split()])
    return picture.resize((size.width, size.height), _BILINEAR)


def _nearest(mask: NDArray[Any], size: Size, scale_x: float, scale_y: float, offset_x: float, offset_y: float,
             outside: Any) -> NDArray[Any]:
    columns = _pixel_under((np.arange(size.width) + 0.5 - offset_x) / scale_x)
    rows = _pixel_under((np.arange(size.height) + 0.5 - offset_y) / scale_y)
    inside = ((rows >= 0) & (rows < mask.shape[0]))[:, None] & ((columns >= 0) & (columns < mask.shape[1]))[None]
    values = mask[np.clip(rows, 0, mask.shape[0] - 1)[:, None], np.clip(columns, 0, mask.shape[1] - 1)[None]]
    return np.where(inside, values, np.asarray(outside, mask.dtype))


def _mirrored(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    period = max(1, 2 * (length - 1))
    folded = positions % period
    return np.asarray(np.minimum(folded, period - folded) if length > 1 else folded, np.int64)


def _pixel_under(positions: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Index of the pixel at each edge coordinate. A coordinate exactly on an edge belongs to the pixel after it.

    True positions are multiples of 1 / (2 * length), so that a margin far below that undoes rounding errors only.
    """
    return np.asarray(np.floor(positions + 1e-7), np.int64)
