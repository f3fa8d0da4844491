"""Photographs as they are found: any mode, any orientation, any damage."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Transpose

from harness.api import UnreadableSample

BACKGROUND = 2
"""Trimap values of Oxford-IIIT Pet: 1 pet, 2 background, 3 border (not decided by the annotators)."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112
_UPRIGHT = {2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
            5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90}


def read_sample(image: Path, trimap: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photograph as (H, W, 3) uint8 RGB and its foreground (pet and border) as (H, W) bool, both upright.

    The photograph's EXIF orientation is applied to both, since trimaps are drawn on the stored pixels. Transparency is
    dropped, as `Image.convert("RGB")` does. Raises UnreadableSample for a file that is missing, damaged or of an
    unknown kind, and for a trimap of another size or with other values than 1, 2 and 3.
    """
    return _read_pair(image, trimap, "trimap", _foreground)


def read_masked(image: Path, mask: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """As `read_sample`, with a mask whose background is 0 and whose foreground is 1 or 255."""
    return _read_pair(image, mask, "mask", _binary)


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """A photograph as (H, W, 3) uint8 RGB, upright. Raises UnreadableSample."""
    picture, orientation = _open(path)
    return np.asarray(_turn(_rgb(picture, path), orientation))


def _read_pair(image: Path, annotation: Path, kind: str, foreground: Callable[[NDArray[np.uint8], Path],
               NDArray[np.bool_]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    picture, orientation = _open(image)
    drawn, _ = _open(annotation)
    pixels = np.asarray(_turn(_rgb(picture, image), orientation))
    values = np.asarray(_turn(drawn, orientation))
    if values.ndim != 2:
        raise UnreadableSample(f"{kind} {annotation.name} is a color image (mode {drawn.mode}), its values are unknown")
    if values.shape != pixels.shape[:2]:
        sizes = [f"{array.shape[1]} x {array.shape[0]}" for array in (pixels, values)]
        raise UnreadableSample(f"{image.name} has {sizes[0]} pixels, its {kind} {annotation.name} has {sizes[1]}")
    return pixels, foreground(values, annotation)


def _open(path: Path) -> tuple[Image.Image, int]:
    """The stored pixels and the EXIF orientation (1 = upright)."""
    if not path.is_file():
        raise UnreadableSample(f"{path.parent.name}/{path.name} does not exist")
    if path.stat().st_size == 0:
        raise UnreadableSample(f"{path.parent.name}/{path.name} is empty (0 bytes)")
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture, picture.getexif().get(_ORIENTATION, 1)
    except _DAMAGE as error:
        reason = str(error).replace(repr(str(path)), "this file")
        raise UnreadableSample(f"{path.parent.name}/{path.name} is damaged or no image: {reason}") from error


def _turn(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _rgb(picture: Image.Image, path: Path) -> Image.Image:
    if picture.mode.startswith("I;16"):  # Pillow's own conversion clips at 255 instead of scaling
        wide = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise UnreadableSample(f"{path.name} holds numbers without a defined range (mode {picture.mode})")
    if "transparency" in picture.info:  # Pillow warns when it has to drop a palette's transparency
        picture = picture.convert("RGBA")
    try:
        return picture.convert("RGB")
    except ValueError as error:
        raise UnreadableSample(f"{path.name} has no conversion to RGB (mode {picture.mode})") from error


def _foreground(values: NDArray[np.uint8], path: Path) -> NDArray[np.bool_]:
    unknown = sorted(set(np.unique(values).tolist()) - {1, BACKGROUND, 3})
    if unknown:
        raise UnreadableSample(f"trimap {path.name} has the values {str(unknown[:5])[1:-1]}; known are 1, 2 and 3")
    return np.asarray(values != BACKGROUND)


def _binary(values: NDArray[np.uint8], path: Path) -> NDArray[np.bool_]:
    found = set(np.unique(values).tolist())
    if not (found <= {0, 1} or found <= {0, 255}):
        raise UnreadableSample(f"mask {path.name} has the values {str(sorted(found)[:5])[1:-1]}; a mask has 0 for "
                               "background and either 1 or 255 for foreground, in a lossless format")
    return np.asarray(values != 0)
