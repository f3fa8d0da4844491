"""Oxford-IIIT Pet (Parkhi 2012): photographs of 37 breeds of cats and dogs with trimaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import (
    ClassificationTarget,
    DataError,
    IndexedDataset,
    UnreadableSample,
    did_you_mean,
    evenly,
    files_fingerprint,
    one_of,
)
from harness_classification.boxes import tight_box
from harness_classification.layouts import Sample, find_layout
from harness_classification.params import OxfordPetParams
from harness_classification.photographs import read_sample


class OxfordPet(IndexedDataset):
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
        self._samples = evenly(samples, params.count)

    def __len__(self) -> int:
        return len(self._samples)

    def sample_id(self, index: int) -> str:
        return self._samples[index].id

    def sample(self, index: int) -> tuple[NDArray[np.uint8], ClassificationTarget]:
        return _read(self._samples[index])

    def fingerprint(self) -> str:
        """Of the list of the split, the photographs and the trimaps."""
        files = [path for sample in self._samples for path in (sample.image, sample.trimap)]
        return files_fingerprint(self._root, [self._list, *files] if self._list else files)


def _read(sample: Sample) -> tuple[NDArray[np.uint8], ClassificationTarget]:
    if sample.breed is None:
        raise UnreadableSample(f"the name {sample.id} is not <breed>_<number>, so that its breed is unknown")
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
