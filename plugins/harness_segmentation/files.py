"""What the datasets of files share: pictures and masks read with their mistakes named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.api import IndexedDataset, SegmentationTarget, UnreadableSample, as_rgb, files_fingerprint, open_picture

MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")


class Identified(Protocol):
    """A listed sample; its files need not exist."""

    @property
    def id(self) -> str: ...

    def files(self) -> Iterable[Path]: ...


Sample = TypeVar("Sample", bound=Identified)
Read = tuple[NDArray[np.uint8], SegmentationTarget]


class FileDataset(IndexedDataset, Generic[Sample]):
    """Samples that are read when they are asked for; what can not be read is in `Batch.unreadable`."""

    def __init__(self, root: Path, samples: Sequence[Sample], read: Callable[[Sample], Read]) -> None:
        self.root, self.samples, self.read = root, samples, read

    def __len__(self) -> int:
        return len(self.samples)

    def sample_id(self, index: int) -> str:
        return self.samples[index].id

    def sample(self, index: int) -> Read:
        return self.read(self.samples[index])

    def fingerprint(self) -> str:
        """Of the files that the samples name."""
        return files_fingerprint(self.root, (path for sample in self.samples for path in sample.files()))


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises UnreadableSample for a file that is missing, damaged, of an unknown kind, or to be
    turned when it is shown: its mask could not say whether it is turned already.
    """
    picture, orientation = open_picture(path)
    if orientation != 1:
        raise UnreadableSample(f"{path.name} is to be turned (EXIF orientation), its mask can not say so; store it "
                               "upright")
    return np.asarray(as_rgb(picture, path))


def read_values(path: Path) -> NDArray[np.int32]:
    """(H, W) values of a mask; of a palette picture the indices. Raises UnreadableSample as `read_image`."""
    picture, _ = open_picture(path)
    values = np.asarray(picture)
    if values.ndim != 2:
        raise UnreadableSample(f"mask {path.name} is a color image (mode {picture.mode}), its values are unknown; "
                               "store class indices")
    return values.astype(np.int32)


def check_size(image: NDArray[np.uint8], mask: NDArray[Any], image_path: Path, mask_path: Path) -> None:
    """Raises UnreadableSample when a mask has another size than its image."""
    if image.shape[:2] != mask.shape:
        sizes = [f"{array.shape[1]} x {array.shape[0]}" for array in (image, mask)]
        raise UnreadableSample(f"{image_path.name} has {sizes[0]} pixels, its mask {mask_path.name} has {sizes[1]}")


def to_classes(values: NDArray[np.int32], table: Mapping[int, int], path: Path) -> NDArray[np.int32]:
    """Mask values -> class indices, -1 for ignored ones. Raises UnreadableSample for a value that the table lacks."""
    present = np.unique(values)
    unknown = [int(value) for value in present if int(value) not in table]
    if unknown:
        value = unknown[0]
        row, column = (int(each[0]) for each in np.nonzero(values == value))
        raise UnreadableSample(f"mask {path.name} has the value {value} at row {row}, column {column}; known are "
                               f"{', '.join(map(str, sorted(table)))}")
    own = np.array([table[int(value)] for value in present], np.int32)
    return own[np.searchsorted(present, values)]
