"""A folder of images without annotations: for latency, pictures and counts of what a detector finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import IMAGE_SUFFIXES, DataError, DetectionTarget, IndexedDataset, evenly, files_fingerprint
from harness_detection.files import read_rgb
from harness_detection.params import UnlabeledImagesParams


class UnlabeledImages(IndexedDataset):
    """The images of a folder by name, ids are file names, targets without objects.

    What can not be read is in `Batch.unreadable`. Raises DataError for a folder that is missing or has no images.
    """

    def __init__(self, params: UnlabeledImagesParams) -> None:
        if not params.root.is_dir():
            raise DataError(f"{params.root}: no such folder of images; correct `root`")
        paths = sorted(path for path in params.root.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not paths:
            raise DataError(f"{params.root}: has no images ({', '.join(IMAGE_SUFFIXES)})")
        self._root, self._paths = params.root, evenly(paths, params.count)

    def __len__(self) -> int:
        return len(self._paths)

    def sample_id(self, index: int) -> str:
        return self._paths[index].name

    def sample(self, index: int) -> tuple[NDArray[np.uint8], DetectionTarget]:
        path = self._paths[index]
        nothing = DetectionTarget(boxes=np.zeros((0, 4), np.float32), labels=(), crowd=np.zeros(0, np.bool_))
        return read_rgb(path), nothing

    def fingerprint(self) -> str:
        return files_fingerprint(self._root, self._paths)
