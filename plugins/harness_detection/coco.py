"""Any file of annotations in COCO's format with its folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import (
    DataError,
    DetectionTarget,
    IndexedDataset,
    UnreadableSample,
    did_you_mean,
    evenly,
    files_fingerprint,
    one_of,
)
from harness_detection.coco_file import CocoFile, ImageEntry, read_coco
from harness_detection.files import read_rgb
from harness_detection.params import CocoParams


class Coco(IndexedDataset):
    """Objects with the boxes of the file, labels by category name, crowd regions marked, areas of the segmentation.

    A sample's id is its image id. Annotations are drawn on the stored pixels, so that EXIF orientation is not applied.
    Images that can not be read, or have another size than the file says, are in `Batch.unreadable`. Raises DataError
    for a file or folder that is missing and for an annotation that can not be right.
    """

    def __init__(self, params: CocoParams) -> None:
        if not params.images.is_dir():
            raise DataError(f"{params.images}: no such folder of images; correct `images`")
        self.params = params
        self._file: CocoFile = read_coco(params.annotations)
        self._wanted = _categories(self._file, params)
        self._entries = evenly(self._file.images, params.count)

    def __len__(self) -> int:
        return len(self._entries)

    def sample_id(self, index: int) -> str:
        return self._entries[index].id

    def sample(self, index: int) -> tuple[NDArray[np.uint8], DetectionTarget]:
        entry = self._entries[index]
        return _read(self.params.images / entry.file_name, entry), self._target(entry)

    def fingerprint(self) -> str:
        """Of the images and the content of the annotations."""
        paths = (self.params.images / entry.file_name for entry in self._entries)
        return files_fingerprint(self.params.images, paths, self.params.annotations.read_bytes())

    def _target(self, entry: ImageEntry) -> DetectionTarget:
        kept = [item for item in entry.objects if item.label in self._wanted]
        return DetectionTarget(
            boxes=np.array([item.box for item in kept], np.float32).reshape(-1, 4),
            labels=tuple(item.label for item in kept), crowd=np.array([item.crowd for item in kept], np.bool_),
            areas=np.array([item.area for item in kept], np.float32))


def _categories(file: CocoFile, params: CocoParams) -> frozenset[str]:
    for name in params.categories or ():
        if name not in file.categories:
            raise DataError(f'{params.annotations}: has no category "{name}"{did_you_mean(name, file.categories)}; it '
                            f"has {one_of(file.categories)}")
    return frozenset(params.categories or file.categories)


def _read(path: Path, entry: ImageEntry) -> NDArray[np.uint8]:
    """(H, W, 3) uint8. Raises UnreadableSample also for an image that the annotations do not fit."""
    pixels = read_rgb(path)
    height, width = pixels.shape[:2]
    found = f"{entry.file_name} has {width} x {height} pixels"
    if entry.size is not None and (width, height) != entry.size:
        raise UnreadableSample(f"{found}, the annotations say {entry.size[0]} x {entry.size[1]}")
    outside = [item for item in entry.objects if item.box[2] > width or item.box[3] > height]
    if outside:
        raise UnreadableSample(f"{found}, annotation {outside[0].id} leaves it")
    return pixels
