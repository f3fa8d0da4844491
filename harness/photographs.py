"""Photographs as they are found: any mode, any orientation, any damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Transpose

from harness.datasets import UnreadableSample

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112
_UPRIGHT = {2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
            5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90}


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """A photograph as (H, W, 3) uint8 RGB, upright, transparency dropped. Raises UnreadableSample."""
    picture, orientation = open_picture(path)
    return np.asarray(upright(as_rgb(picture, path), orientation))


def open_picture(path: Path) -> tuple[Image.Image, int]:
    """The stored pixels and the EXIF orientation (1 = upright). Raises UnreadableSample."""
    if not path.is_file():
        raise UnreadableSample(f"{_short(path)} does not exist")
    if path.stat().st_size == 0:
        raise UnreadableSample(f"{_short(path)} is empty (0 bytes)")
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture, picture.getexif().get(_ORIENTATION, 1)
    except _DAMAGE as error:
        reason = str(error).replace(repr(str(path)), "this file")
        raise UnreadableSample(f"{_short(path)} is damaged or no image: {reason}") from error


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Stored pixels -> as the photographer saw them; orientation: of EXIF."""
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def as_rgb(picture: Image.Image, path: Path) -> Image.Image:
    """Any mode -> 8-bit RGB, transparency dropped. Raises UnreadableSample where there is no conversion."""
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


def _short(path: Path) -> str:
    """With its folder, as far as one is named."""
    return "/".join(path.parts[-2:])
