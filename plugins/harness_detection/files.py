"""Images as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import as_rgb, open_picture


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 as stored, EXIF orientation not applied. Raises UnreadableSample."""
    picture, _ = open_picture(path)
    return np.asarray(as_rgb(picture, path), np.uint8)
