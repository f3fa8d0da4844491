"""Oxford-IIIT Pet (Parkhi 2012): photographs of 37 breeds of cats and dogs with trimaps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import Batch, ClassificationTarget, DataError, Unreadable, did_you_mean, one_of
from harness_classification.boxes import tight_box
from harness_classification.layouts import Sample, find_layout
from harness_classification.params import OxfordPetParams
from harness_classification.photographs import UnreadableFile, read_sample


class OxfordPet:
    """Label: the breed as the files name it; mask: pet and border of the trimap (its value is not 2); one tight box.

    Samples are sorted by file name and decoded batch by batch. What can not be read is in `Batch.unreadable`.
    Raises DataError when the folder, the split or a breed does not exist.
    """

    def __init__(self, params: OxfordPetParams) -> None:
        layout = find_layout(params.root)
        self._list = layout.list_file(params.split)
        self._root = params.root
        samples = layout.samples(params.split)
        if params.breeds is not None:
            samples = _of_breeds(samples, params.breeds, params.root)
        if params.count is not None and params.count < len(samples):
            samples = [samples[i * len(samples) // params.count] for i in range(params.count)]
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), size):
            yield _batch([self._samples[index] for index in wanted[start : start + size]])

    def fingerprint(self) -> str:
        """SHA-256 over name, size and time of change of the files that are read, the absent ones included."""
        files = [path for sample in self._samples for path in (sample.image, sample.trimap)]
        digest = hashlib.sha256()
        for path in [self._list, *files] if self._list else files:
            digest.update(f"{path.relative_to(self._root).as_posix()}\0{_state(path)}\n".encode())
        return digest.hexdigest()


def _batch(samples: Sequence[Sample]) -> Batch:
    images, targets, ids, unreadable = [], [], [], []
    for sample in samples:
        try:
            image, target = _read(sample)
        except UnreadableFile as error:
            unreadable.append(Unreadable(sample.id, str(error)))
        else:
            images.append(image)
            targets.append(target)
            ids.append(sample.id)
    return Batch(images, targets, ids, unreadable)


def _read(sample: Sample) -> tuple[NDArray[np.uint8], ClassificationTarget]:
    if sample.breed is None:
        raise UnreadableFile(f"the name {sample.id} is not <breed>_<number>, so that its breed is unknown")
    image, mask = read_sample(sample.image, sample.trimap)
    return image, ClassificationTarget(label=sample.breed, boxes=tight_box(mask), mask=mask)


def _of_breeds(samples: list[Sample], breeds: Sequence[str], root: Path) -> list[Sample]:
    """The samples of the breeds; those without a readable name stay, to be reported."""
    known = {sample.breed for sample in samples if sample.breed}
    unknown = [name for name in breeds if name not in known]
    if unknown:
        raise DataError(f'{root} has no breed "{unknown[0]}"{did_you_mean(unknown[0], known)}; '
                        f"it has {one_of(known)}")
    return [sample for sample in samples if sample.breed is None or sample.breed in breeds]


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except FileNotFoundError:
        return "absent"
    return f"{status.st_size}:{status.st_mtime_ns}"
