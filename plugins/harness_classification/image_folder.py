"""Photographs in one folder per class, as torchvision's ImageFolder reads them; masks in a second tree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import Batch, ClassificationTarget, DataError, Unreadable, did_you_mean, one_of
from harness_classification.boxes import tight_box
from harness_classification.params import ImageFolderParams
from harness_classification.photographs import UnreadableFile, read_masked, read_photograph

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Sample:
    """id: CLASS/stem, unique in the dataset; mask: without its suffix, None where the dataset has no masks."""

    id: str
    label: str
    image: Path
    mask: Path | None


class ImageFolder:
    """Label: the folder's name. Samples are sorted by class and file name and decoded batch by batch.

    What can not be read is in `Batch.unreadable`. Raises DataError when a folder or class is missing or empty, or when
    two files of a class have one name.
    """

    def __init__(self, params: ImageFolderParams) -> None:
        root, masks = params.root, params.masks
        if params.split != "all":
            root, masks = root / params.split, masks and masks / params.split
        if masks is not None and not masks.is_dir():
            raise DataError(f"the folder {masks} does not exist; `masks` has the layout of `root`, without it leave "
                            "`masks` out")
        labels = _labels(root, params)
        samples = [sample for label in labels for sample in _samples(root / label, masks and masks / label)]
        if params.count is not None and params.count < len(samples):
            samples = [samples[i * len(samples) // params.count] for i in range(params.count)]
        self._root, self._samples = root, samples

    def __len__(self) -> int:
        return len(self._samples)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        """The photographs at the given indices (all by default), at most `size` at a time."""
        wanted = range(len(self)) if indices is None else indices
        for start in range(0, len(wanted), size):
            yield _batch([self._samples[index] for index in wanted[start : start + size]])

    def fingerprint(self) -> str:
        """SHA-256 over id, size and time of change of the files that are read."""
        digest = hashlib.sha256()
        for sample in self._samples:
            for path in (sample.image, *_masks(sample)):
                status = path.stat() if path.is_file() else None
                state = f"{status.st_size}:{status.st_mtime_ns}" if status else "absent"
                digest.update(f"{sample.id}\0{path.suffix}\0{state}\n".encode())
        return digest.hexdigest()


def _labels(root: Path, params: ImageFolderParams) -> list[str]:
    if not root.is_dir():
        hint = "" if params.split == "all" else f'; split = "{params.split}" is a folder of `root`'
        raise DataError(f"the folder {root} does not exist; image-folder reads root/CLASS/photograph.jpg{hint}")
    present = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    if not present:
        loose = sum(path.suffix.lower() in _SUFFIXES for path in root.iterdir())
        what = f"{loose} photographs but no folders" if loose else "no folders"
        raise DataError(f"{root} has {what}; put the photographs of each class into a folder of its name")
    for label in params.labels or ():
        if label not in present:
            raise DataError(f'{root} has no class "{label}"{did_you_mean(label, present)}; it has {one_of(present)}')
    return present if params.labels is None else sorted(set(params.labels))


def _samples(folder: Path, masks: Path | None) -> list[Sample]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _SUFFIXES and path.name[0] != "." and found.setdefault(path.stem, path) != path:
            raise DataError(f"{found[path.stem]} and {path.name} share the name {path.stem}; remove one of them")
    if not found:
        raise DataError(f"{folder} has no photographs ({', '.join(_SUFFIXES)}); add some, remove the folder, or name "
                        "the classes to read in `labels`")
    return [Sample(f"{folder.name}/{name}", folder.name, path, masks and masks / name) for name, path in found.items()]


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
    if sample.mask is None:
        return read_photograph(sample.image), ClassificationTarget(label=sample.label)
    found = _masks(sample)
    if len(found) != 1:
        what = f"{len(found)} masks" if found else "no mask"
        raise UnreadableFile(f"{sample.mask.parent} has {what} named {sample.mask.name} ({', '.join(_MASK_SUFFIXES)})")
    image, mask = read_masked(sample.image, found[0])
    return image, ClassificationTarget(label=sample.label, boxes=tight_box(mask), mask=mask)


def _masks(sample: Sample) -> list[Path]:
    """The files that could be its mask, normally one. Stems may contain dots, so that with_suffix would be wrong."""
    if sample.mask is None:
        return []
    paths = [sample.mask.with_name(sample.mask.name + suffix) for suffix in _MASK_SUFFIXES]
    return [path for path in paths if path.is_file()]
