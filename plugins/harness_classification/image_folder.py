"""Photographs in one folder per class, as torchvision's ImageFolder reads them; masks in a second tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import (
    IMAGE_SUFFIXES,
    ClassificationTarget,
    DataError,
    IndexedDataset,
    UnreadableSample,
    did_you_mean,
    evenly,
    files_fingerprint,
    one_of,
    read_photograph,
)
from harness_classification.boxes import tight_box
from harness_classification.params import ImageFolderParams
from harness_classification.photographs import read_masked

_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Sample:
    """id: CLASS/stem, unique in the dataset; mask: without its suffix, None where the dataset has no masks."""

    id: str
    label: str
    image: Path
    mask: Path | None


class ImageFolder(IndexedDataset):
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
        self._root, self._samples = root, evenly(samples, params.count)

    def __len__(self) -> int:
        return len(self._samples)

    def sample_id(self, index: int) -> str:
        return self._samples[index].id

    def sample(self, index: int) -> tuple[NDArray[np.uint8], ClassificationTarget]:
        return _read(self._samples[index])

    def fingerprint(self) -> str:
        """Of the photographs and the masks that are there."""
        paths = (path for sample in self._samples for path in (sample.image, *_masks(sample)))
        return files_fingerprint(self._root, paths)


def _labels(root: Path, params: ImageFolderParams) -> list[str]:
    if not root.is_dir():
        hint = "" if params.split == "all" else f'; split = "{params.split}" is a folder of `root`'
        raise DataError(f"the folder {root} does not exist; image-folder reads root/CLASS/photograph.jpg{hint}")
    present = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    if not present:
        loose = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in root.iterdir())
        what = f"{loose} photographs but no folders" if loose else "no folders"
        raise DataError(f"{root} has {what}; put the photographs of each class into a folder of its name")
    for label in params.labels or ():
        if label not in present:
            raise DataError(f'{root} has no class "{label}"{did_you_mean(label, present)}; it has {one_of(present)}')
    return present if params.labels is None else sorted(set(params.labels))


def _samples(folder: Path, masks: Path | None) -> list[Sample]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "." and found.setdefault(path.stem, path) != path:
            raise DataError(f"{found[path.stem]} and {path.name} share the name {path.stem}; remove one of them")
    if not found:
        raise DataError(f"{folder} has no photographs ({', '.join(IMAGE_SUFFIXES)}); add some, remove the folder, or "
                        "name the classes to read in `labels`")
    return [Sample(f"{folder.name}/{name}", folder.name, path, masks and masks / name) for name, path in found.items()]


def _read(sample: Sample) -> tuple[NDArray[np.uint8], ClassificationTarget]:
    if sample.mask is None:
        return read_photograph(sample.image), ClassificationTarget(label=sample.label)
    found = _masks(sample)
    if len(found) != 1:
        what = f"{len(found)} masks" if found else "no mask"
        raise UnreadableSample(f"{sample.mask.parent} has {what} named {sample.mask.name} "
                               f"({', '.join(_MASK_SUFFIXES)})")
    image, mask = read_masked(sample.image, found[0])
    return image, ClassificationTarget(label=sample.label, boxes=tight_box(mask), mask=mask)


def _masks(sample: Sample) -> list[Path]:
    """The files that could be its mask, normally one. Stems may contain dots, so that with_suffix would be wrong."""
    if sample.mask is None:
        return []
    paths = [sample.mask.with_name(sample.mask.name + suffix) for suffix in _MASK_SUFFIXES]
    return [path for path in paths if path.is_file()]
