"""What datasets have in common: reading by index in chunks, naming what can not be read, fingerprints of files.

A dataset plugin may implement the protocol `Dataset` by itself; with these classes three methods are enough.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from harness.contracts import Batch, Unreadable
from harness.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.tasks import Target

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Of the files that datasets take for images, in lower case."""
_SPLITS = ("train", "val", "test")

Item = TypeVar("Item")


class UnreadableSample(DataError):
    """Why one sample can not be used, in words for the report; the others are measured without it."""


class IndexedDataset(ABC):
    """A `Dataset` of samples that are read one by one, in batches of whatever size is asked for."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sample_id(self, index: int) -> str:
        """Unique in the dataset, known without reading the sample. index: 0 to len - 1."""

    @abstractmethod
    def sample(self, index: int) -> tuple[NDArray[np.uint8], Target]:
        """(H, W, C) uint8 image, C = 1, 3 (RGB) or 4, and its truth. index: 0 to len - 1.

        Raises UnreadableSample when this one can not be used.
        """

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """The samples at the given indices (all by default), in their order, at most `size` at a time.

        Those that can not be read are in `Batch.unreadable`. Raises IndexError for an index outside 0 to len - 1 before
        anything is read.
        """
        wanted = range(len(self)) if indices is None else indices
        for index in wanted:
            if not 0 <= index < len(self):
                raise IndexError(f"there is no sample {index}: the dataset has {len(self)}")
        for start in range(0, len(wanted), size):
            yield self._batch(wanted[start : start + size])

    def fingerprint(self) -> str:
        """"" for generated data; a dataset that reads files returns `files_fingerprint`."""
        return ""

    def _batch(self, indices: Sequence[int]) -> Batch:
        images, targets, ids, unreadable = [], [], [], []
        for index in indices:
            try:
                image, target = self.sample(index)
            except UnreadableSample as error:
                unreadable.append(Unreadable(self.sample_id(index), str(error)))
            else:
                images.append(image)
                targets.append(target)
                ids.append(self.sample_id(index))
        return Batch(images, targets, ids, unreadable)


class GeneratorParams(Protocol):
    """What the params of generated data have. count: number of samples; split: "train", "val" or "test"."""

    @property
    def count(self) -> int: ...

    @property
    def split(self) -> str: ...

    @property
    def seed(self) -> int: ...


GeneratorParamsT = TypeVar("GeneratorParamsT", bound=GeneratorParams)


class GeneratedDataset(IndexedDataset, Generic[GeneratorParamsT]):
    """Samples that are a pure function of (seed, split, index), neither of their number nor of their order.

    Ids are SPLIT-00000 and so on. All randomness of a sample comes from `generator(index)`.
    """

    def __init__(self, params: GeneratorParamsT) -> None:
        self.params = params

    def __len__(self) -> int:
        return self.params.count

    def sample_id(self, index: int) -> str:
        return f"{self.params.split}-{index:05d}"

    def generator(self, index: int) -> np.random.Generator:
        """Random numbers of one sample, shared with no other seed, split or index; raises IndexError outside."""
        import numpy as np

        if not 0 <= index < len(self):
            raise IndexError(index)
        return np.random.default_rng([self.params.seed, _SPLITS.index(self.params.split), index])


def evenly(items: Sequence[Item], count: int | None) -> Sequence[Item]:
    """At most `count` of the items (None: all), evenly spaced, the first one included."""
    if count is None or count >= len(items):
        return items
    return [items[i * len(items) // count] for i in range(count)]


def evenly_spaced(total: int, most: int) -> list[int]:
    """At most `most` of 0 ... total - 1, both ends included, ascending."""
    count = min(total, most)
    return sorted({index * (total - 1) // max(1, count - 1) for index in range(count)})


def files_fingerprint(root: Path, paths: Iterable[Path], extra: bytes = b"") -> str:
    """SHA-256 over name, size and time of change of the files, in their order, the absent ones included.

    Names are relative to root, those of files elsewhere in full; a path that is given twice counts once. extra: what
    else decides the samples, such as the bytes of an index that is read.
    """
    digest = hashlib.sha256(extra)
    for path in dict.fromkeys(paths):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        digest.update(f"{name.as_posix()}\0{_state(path)}\n".encode())
    return digest.hexdigest()


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return "absent"
    return f"{status.st_size}:{status.st_mtime_ns}"
