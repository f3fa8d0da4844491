"""Pictures inside of the page: each once, within a budget."""

from __future__ import annotations

import base64
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BUDGET = 5_000_000
"""Bytes of all pictures of a page."""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
_DAMAGE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
# Okabe and Ito's colors, which people of any color vision tell apart; (right, missed, invented).
_RIGHT, _MISSED, _INVENTED = (0, 158, 115), (230, 159, 0), (204, 121, 167)


@dataclass(slots=True)
class Pictures:
    """Data URIs by a short hash. left: of the budget in bytes."""

    left: int = BUDGET
    uris: dict[str, str] = field(default_factory=dict)

    def file(self, path: Path) -> str | None:
        """The key of a picture's file; None when it is missing or the budget is spent."""
        kind = _TYPES.get(path.suffix)
        try:
            return self._add(path.read_bytes(), kind) if kind else None
        except OSError:
            return None

    def errors(self, image: Path, truth: Path, prediction: Path) -> str | None:
        """The key of an image with its segmentation errors: right, missed and invented pixels in colors."""
        try:
            picture = Image.open(image).convert("RGB")
            masks = [np.asarray(Image.open(each).resize(picture.size, Image.Resampling.NEAREST)) for each in
                     (truth, prediction)]
        except _DAMAGE:
            return None
        content = io.BytesIO()
        Image.fromarray(_marked(np.asarray(picture), *masks)).save(content, "JPEG", quality=85)
        return self._add(content.getvalue(), "image/jpeg")

    def outlined(self, image: Path, mask: Path) -> str | None:
        """The key of an image with the outline of a mask, which may have another size."""
        try:
            picture = Image.open(image).convert("RGB")
            inside = np.asarray(Image.open(mask).resize(picture.size, Image.Resampling.NEAREST)) > 0
        except _DAMAGE:
            return self.file(image)
        pixels = np.array(picture)
        pixels[_outline(inside, 2)] = (20, 20, 20)  # so that white is seen on any ground
        pixels[_outline(inside, 1)] = (255, 255, 255)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "JPEG", quality=88)
        return self._add(content.getvalue(), "image/jpeg")

    def _add(self, content: bytes, kind: str) -> str | None:
        key = hashlib.sha256(content).hexdigest()[:12]
        if key not in self.uris:
            if len(content) > self.left:
                return None
            self.left -= len(content)
            self.uris[key] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        return key


def _outline(inside: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Pixels inside of a mask that are at most `width` steps from its border."""
    core = inside
    for _ in range(width):
        padded = np.pad(core, 1)
        core = core & padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2]
    return inside & ~core


def _marked(image: NDArray[np.uint8], truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masks hold class indices, 0 for background; 255 in the truth is to be ignored, in the prediction nothing."""
    known = truth != 255
    foreground = (truth > 0) & known
    found = (prediction > 0) & (prediction != 255) & known
    same = truth == prediction
    result = image.astype(np.float32)
    for where, color in ((foreground & same, _RIGHT), (foreground & ~same, _MISSED), (found & ~foreground, _INVENTED)):
        result[where] = 0.45 * result[where] + 0.55 * np.array(color, np.float32)
    return result.astype(np.uint8)
