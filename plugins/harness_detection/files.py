"""Images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def read_rgb(path: Path, name: str) -> NDArray[np.uint8] | str:
    """(H, W, 3) uint8 as stored, EXIF orientation not applied; or why `name` can not be used."""
    if not path.is_file():
        return f"{name} does not exist"
    try:
        with Image.open(path) as picture:
            # Pillow warns when it has to drop a palette's transparency.
            rgb = (picture.convert("RGBA") if "transparency" in picture.info else picture).convert("RGB")
    except _DAMAGE as error:
        return f"{name} is damaged or no image: {str(error).replace(repr(str(path)), 'this file')}"
    return np.asarray(rgb, np.uint8)


def file_state(path: Path) -> str:
    """Size and time of change, for fingerprints."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "absent"
    return f"{status.st_size}:{status.st_mtime_ns}"
