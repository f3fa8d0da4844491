"""Pascal VOC segmentation (Everingham 2010): palette masks, 255 is not judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from harness.api import DataError, SegmentationTarget, evenly
from harness_segmentation.files import FileDataset, Read, check_size, read_image, read_values, to_classes
from harness_segmentation.params import PascalVocParams

LABELS = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
          "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor")
VOID = 255
"""Borders of objects and difficult ones."""
_TABLE = {**{index: index for index in range(len(LABELS))}, VOID: -1}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A listed photograph; objects: None where the dataset is read without them."""

    id: str
    image: Path
    mask: Path
    objects: Path | None

    def files(self) -> Iterable[Path]:
        return (self.image, self.mask, *([self.objects] if self.objects else ()))


class PascalVoc(FileDataset[Photograph]):
    """Raises DataError when the folder or the list of the split is missing."""

    def __init__(self, params: PascalVocParams) -> None:
        root = _root(params.root)
        split = "val" if params.split == "test" and params.test == "val" else params.split
        numbered = (root / "SegmentationObject").is_dir()
        samples = [
            Photograph(name, root / f"JPEGImages/{name}.jpg", root / f"SegmentationClass/{name}.png",
                       root / f"SegmentationObject/{name}.png" if numbered else None)
            for name in _listed(root, split)
        ]
        super().__init__(root, evenly(samples, params.count), _read)


def _read(sample: Photograph) -> Read:
    image, values = read_image(sample.image), read_values(sample.mask)
    check_size(image, values, sample.image, sample.mask)
    instances = None
    if sample.objects is not None:
        numbers = read_values(sample.objects)
        check_size(image, numbers, sample.image, sample.objects)
        instances = np.where(numbers == VOID, 0, numbers).astype(np.int32)
    mask = to_classes(values, _TABLE, sample.mask)
    return image, SegmentationTarget(mask=mask, labels=LABELS, instances=instances)


def _root(root: Path) -> Path:
    """The folder with ImageSets, which may be the one given, a year below it, or below VOCdevkit."""
    years = (sorted(root.glob(pattern), reverse=True) for pattern in ("VOC20*", "VOCdevkit/VOC20*"))
    for path in (root, *chain(*years)):
        if (path / "ImageSets/Segmentation").is_dir():
            return path
    raise DataError(f"{root} is no Pascal VOC folder: it has no ImageSets/Segmentation, and no VOCdevkit/VOC20xx; "
                    "download the VOC trainval archive and set root to where it was unpacked")


def _listed(root: Path, split: str) -> list[str]:
    path = root / f"ImageSets/Segmentation/{split}.txt"
    if not path.is_file() or (split == "test" and not any((root / "SegmentationClass").glob("*.png"))):
        raise DataError(f'{path} does not exist; the masks of VOC2012\'s test split are not public: use '
                        'split = "val", or test = "val"')
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise DataError(f"{path} is empty")
    return names
