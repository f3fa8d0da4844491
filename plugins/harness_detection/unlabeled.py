"""A folder of images without annotations: for latency, pictures and counts of what a detector finds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from harness.api import Batch, DataError, DetectionTarget, Unreadable
from harness_detection.files import file_state, read_rgb
from harness_detection.params import UnlabeledImagesParams

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class UnlabeledImages:
    """The images of a folder by name, ids are file names, targets without objects.

    What can not be read is in `Batch.unreadable`. Raises DataError for a folder that is missing or has no images.
    """

    def __init__(self, params: UnlabeledImagesParams) -> None:
        if not params.root.is_dir():
            raise DataError(f"{params.root}: no such folder of images; correct `root`")
        paths = sorted(path for path in params.root.iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise DataError(f"{params.root}: has no images ({', '.join(sorted(SUFFIXES))})")
        if params.count is not None and params.count < len(paths):
            paths = [paths[i * len(paths) // params.count] for i in range(params.count)]
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """The images at the given indices (all by default), at most `size` at a time."""
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), size):
            paths = [self._paths[index] for index in wanted[start : start + size]]
            read = {path.name: read_rgb(path, path.name) for path in paths}
            images = {name: pixels for name, pixels in read.items() if not isinstance(pixels, str)}
            unreadable = [Unreadable(name, reason) for name, reason in read.items() if isinstance(reason, str)]
            yield Batch(list(images.values()), [_nothing() for _ in images], list(images), unreadable)

    def fingerprint(self) -> str:
        """SHA-256 over name, size and time of change of the images."""
        lines = (f"{path.name}\0{file_state(path)}\n" for path in self._paths)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _nothing() -> DetectionTarget:
    return DetectionTarget(boxes=np.zeros((0, 4), np.float32), labels=(), crowd=np.zeros(0, np.bool_))
