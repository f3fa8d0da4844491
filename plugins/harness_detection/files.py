"""Images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.api import UnreadableSample

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_rgb(path: Path, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 as stored, EXIF orientation not applied. Raises UnreadableSample, which calls it `name`."""
    if not path.is_file():
        raise UnreadableSample(f"{name} does not exist")
    try:
        with Image.open(path) as picture:
            # Pillow warns when it has to drop a palette's transparency.
            rgb = (picture.convert("RGBA") if "transparency" in picture.info else picture).convert("RGB")
    except _DAMAGE as error:
        reason = str(error).replace(repr(str(path)), "this file")
        raise UnreadableSample(f"{name} is damaged or no image: {reason}") from error
    return np.asarray(rgb, np.uint8)
