"""Photographs with the masks that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import UnreadableSample, as_rgb, open_picture, upright

BACKGROUND = 2
"""Trimap values of Oxford-IIIT Pet: 1 pet, 2 background, 3 border (not decided by the annotators)."""


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


def _read_pair(image: Path, annotation: Path, kind: str, foreground: Callable[[NDArray[np.uint8], Path],
               NDArray[np.bool_]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    picture, orientation = open_picture(image)
    drawn, _ = open_picture(annotation)
    pixels = np.asarray(upright(as_rgb(picture, image), orientation))
    values = np.asarray(upright(drawn, orientation))
    if values.ndim != 2:
        raise UnreadableSample(f"{kind} {annotation.name} is a color image (mode {drawn.mode}), its values are unknown")
    if values.shape != pixels.shape[:2]:
        sizes = [f"{array.shape[1]} x {array.shape[0]}" for array in (pixels, values)]
        raise UnreadableSample(f"{image.name} has {sizes[0]} pixels, its {kind} {annotation.name} has {sizes[1]}")
    return pixels, foreground(values, annotation)


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
