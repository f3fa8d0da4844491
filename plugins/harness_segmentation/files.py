"""What the datasets of files share: pictures and masks read with their mistakes named, batches, fingerprints."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.api import Batch, SegmentationTarget, Unreadable

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112


class UnreadableFile(Exception):
    """Why a sample can not be used, in words for the report."""


class Identified(Protocol):
    """A listed sample; its files need not exist."""

    @property
    def id(self) -> str: ...

    def files(self) -> Iterable[Path]: ...


Sample = TypeVar("Sample", bound=Identified)
Read = tuple[NDArray[np.uint8], SegmentationTarget]


class FileDataset(Generic[Sample]):
    """Samples that are read when they are asked for; what can not be read is in `Batch.unreadable`."""

    def __init__(self, root: Path, samples: Sequence[Sample], read: Callable[[Sample], Read]) -> None:
        self.root, self.samples, self.read = root, samples, read

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), size):
            yield self._batch([self.samples[index] for index in wanted[start : start + size]])

    def fingerprint(self) -> str:
        """SHA-256 over name, size and time of change of the files that are read, the absent ones included."""
        digest = hashlib.sha256()
        for path in dict.fromkeys(path for sample in self.samples for path in sample.files()):
            digest.update(f"{path.relative_to(self.root).as_posix()}\0{_state(path)}\n".encode())
        return digest.hexdigest()

    def _batch(self, samples: Sequence[Sample]) -> Batch:
        images, targets, ids, unreadable = [], [], [], []
        for sample in samples:
            try:
                image, target = self.read(sample)
            except UnreadableFile as error:
                unreadable.append(Unreadable(sample.id, str(error)))
            else:
                images.append(image)
                targets.append(target)
                ids.append(sample.id)
        return Batch(images, targets, ids, unreadable)


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises UnreadableFile for a file that is missing, damaged, of an unknown kind, or to be
    turned when it is shown: its mask could not say whether it is turned already.
    """
    picture = _open(path)
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        raise UnreadableFile(f"{path.name} is to be turned (EXIF orientation), its mask can not say so; store it "
                             "upright")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        raise UnreadableFile(f"{path.name} has more than 8 bits (mode {picture.mode}); convert it")
    if "transparency" in picture.info:  # Pillow warns when it has to drop a palette's transparency
        picture = picture.convert("RGBA")
    return np.asarray(picture.convert("RGB"))


def read_values(path: Path) -> NDArray[np.int32]:
    """(H, W) values of a mask; of a palette picture the indices. Raises UnreadableFile as `read_image`."""
    picture = _open(path)
    values = np.asarray(picture)
    if values.ndim != 2:
        raise UnreadableFile(f"mask {path.name} is a color image (mode {picture.mode}), its values are unknown; store "
                             "class indices")
    return values.astype(np.int32)


def check_size(image: NDArray[np.uint8], mask: NDArray[Any], image_path: Path, mask_path: Path) -> None:
    """Raises UnreadableFile when a mask has another size than its image."""
    if image.shape[:2] != mask.shape:
        sizes = [f"{array.shape[1]} x {array.shape[0]}" for array in (image, mask)]
        raise UnreadableFile(f"{image_path.name} has {sizes[0]} pixels, its mask {mask_path.name} has {sizes[1]}")


def to_classes(values: NDArray[np.int32], table: Mapping[int, int], path: Path) -> NDArray[np.int32]:
    """Mask values -> class indices, -1 for ignored ones. Raises UnreadableFile for a value that the table lacks."""
    present = np.unique(values)
    unknown = [int(value) for value in present if int(value) not in table]
    if unknown:
        value = unknown[0]
        row, column = (int(each[0]) for each in np.nonzero(values == value))
        raise UnreadableFile(f"mask {path.name} has the value {value} at row {row}, column {column}; known are "
                             f"{', '.join(map(str, sorted(table)))}")
    own = np.array([table[int(value)] for value in present], np.int32)
    return own[np.searchsorted(present, values)]


def evenly(samples: Sequence[Sample], count: int | None) -> Sequence[Sample]:
    """At most `count` of the samples, evenly spaced."""
    if count is None or count >= len(samples):
        return samples
    return [samples[i * len(samples) // count] for i in range(count)]


def _open(path: Path) -> Image.Image:
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise UnreadableFile(f"{where} does not exist")
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except _DAMAGE as error:
        reason = str(error).replace(repr(str(path)), "this file")
        raise UnreadableFile(f"{where} is damaged or no image: {reason}") from error


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "absent"
    return f"{status.st_size}:{status.st_mtime_ns}"
