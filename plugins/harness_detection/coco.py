"""Any file of annotations in COCO's format with its folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import Batch, DataError, DetectionTarget, Unreadable, did_you_mean, one_of
from harness_detection.coco_file import CocoFile, ImageEntry, read_coco
from harness_detection.files import file_state, read_rgb
from harness_detection.params import CocoParams


class Coco:
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
        entries = self._file.images
        if params.count is not None and params.count < len(entries):
            entries = [entries[i * len(entries) // params.count] for i in range(params.count)]
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """The images at the given indices (all by default), at most `size` at a time."""
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), size):
            yield self._batch([self._entries[index] for index in wanted[start : start + size]])

    def fingerprint(self) -> str:
        """SHA-256 over the annotations, and name, size and time of change of the images, the absent included."""
        digest = hashlib.sha256(self.params.annotations.read_bytes())
        for entry in self._entries:
            digest.update(f"{entry.file_name}\0{file_state(self.params.images / entry.file_name)}\n".encode())
        return digest.hexdigest()

    def _batch(self, entries: Sequence[ImageEntry]) -> Batch:
        images, targets, ids, unreadable = [], [], [], []
        for entry in entries:
            pixels = _read(self.params.images / entry.file_name, entry)
            if isinstance(pixels, str):
                unreadable.append(Unreadable(entry.id, pixels))
                continue
            images.append(pixels)
            targets.append(self._target(entry))
            ids.append(entry.id)
        return Batch(images, targets, ids, unreadable)

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


def _read(path: Path, entry: ImageEntry) -> NDArray[np.uint8] | str:
    """(H, W, 3) uint8, or why the image can not be used."""
    pixels = read_rgb(path, entry.file_name)
    if isinstance(pixels, str):
        return pixels
    height, width = pixels.shape[:2]
    if entry.size is not None and (width, height) != entry.size:
        return (f"{entry.file_name} has {width} x {height} pixels, the annotations say "
                f"{entry.size[0]} x {entry.size[1]}")
    outside = [item for item in entry.objects if item.box[2] > width or item.box[3] > height]
    if outside:
        return f"{entry.file_name} has {width} x {height} pixels, annotation {outside[0].id} leaves it"
    return pixels
