"""What a network gave for a few samples while it was trained, on one sheet: a column for each of some epochs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from harness.files import replacing
from harness.overlay import Pixels, overlay, rgb_pixels
from harness.resample import resize_maps
from harness.sheet import Row, contact_sheet, fitted_size

_COLUMNS = 6
_ROWS = 3
_DAMAGE = (OSError, ValueError, KeyError, zipfile.BadZipFile)


def epochs_sheet(path: Path) -> Pixels | None:
    """(H, W, 3) uint8 from the snapshots of a training; None where they are missing or damaged.

    The file has images (N, H, W, C) uint8, ids, epoch (E,), maps (E, N, K, h, w) uint8 over the range (E, 2) of each
    epoch; of K maps the maximum is drawn.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images, ids, epochs, maps, bounds = (archive[name] for name in ("images", "ids", "epoch", "maps", "range"))
    except _DAMAGE:
        return None
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(_COLUMNS, len(epochs))).round().astype(int))
    rows = []
    for sample in range(min(_ROWS, len(images))):
        height, width = images[sample].shape[:2]
        size = fitted_size(height, width)
        image = _scaled(images[sample], size)
        drawn = []
        for index in chosen:
            low, high = bounds[index]
            values = maps[index, sample].max(axis=0) / np.float32(255) * (high - low) + low
            drawn.append(overlay(image, resize_maps(values, size)))
        rows.append(Row(image, [str(ids[sample])], drawn, [""] * len(drawn)))
    return contact_sheet([f"epoch {epochs[index]}" for index in chosen], rows, "each map in its own scale")


def save_epochs(snapshots: Path, picture: Path) -> bool:
    """Save the sheet as a JPEG, unless it is there; whether it is there now."""
    sheet = None if picture.exists() else epochs_sheet(snapshots)
    if sheet is not None:
        with replacing(picture) as partial:
            Image.fromarray(sheet).save(partial, "JPEG", quality=85)
    return picture.exists()


def _scaled(image: Pixels, size: tuple[int, int]) -> Pixels:
    picture = Image.fromarray(rgb_pixels(image))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.uint8)
