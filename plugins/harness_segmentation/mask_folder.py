"""Images and masks in two folders, or side by side with a suffix; subfolders are kept (iCoseg: one for each group)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.api import IMAGE_SUFFIXES, DataError, SegmentationTarget, UnreadableSample, evenly
from harness_segmentation.files import MASKS, FileDataset, Read, check_size, read_image, read_values, to_classes
from harness_segmentation.params import MaskFolderParams

_BUCKETS = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and where its mask is expected; `mask` has the first of the suffixes when none is there, `map` too."""

    id: str
    image: Path
    mask: Path
    map: Path | None = None

    def files(self) -> Iterable[Path]:
        return (self.image, self.mask) if self.map is None else (self.image, self.mask, self.map)


class MaskFolder(FileDataset[Pair]):
    """Raises DataError when a folder is missing, holds no images, or holds two of one name."""

    def __init__(self, params: MaskFolderParams) -> None:
        self.params = params
        self.labels = tuple(params.classes)
        samples = [pair for pair in _pairs(params) if params.split == "all" or _split(pair.id, params) == params.split]
        if not samples:
            raise DataError(f'{params.root / params.images} has no images in split "{params.split}"')
        super().__init__(params.root, evenly(samples, params.count), self._read)

    def _read(self, pair: Pair) -> Read:
        if not pair.mask.is_file():
            raise UnreadableSample(f"its mask {pair.mask.relative_to(self.root).as_posix()} does not exist")
        image, values = read_image(pair.image), read_values(pair.mask)
        check_size(image, values, pair.image, pair.mask)
        if pair.map is not None:
            image = np.dstack([image, _gray(pair.map, image, pair.image)])
        table = {value: index for index, value in enumerate(self.params.classes.values())}
        table |= dict.fromkeys(self.params.ignore, -1)
        if self.params.binary:
            table |= {1: 1, 255: 1}
        return image, SegmentationTarget(mask=to_classes(values, table, pair.mask), labels=self.labels)


def _pairs(params: MaskFolderParams) -> list[Pair]:
    folder, masks = params.root / params.images, params.root / params.masks
    for path in (folder, masks):
        if not path.is_dir():
            raise DataError(f"the folder {path} does not exist; mask-folder reads images from root/images and masks "
                            "from root/masks, or from the folders that these two params name")
    side_by_side = folder.resolve() == masks.resolve()
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if side_by_side and name.endswith(params.suffix):
            continue
        if found.setdefault(name, path) != path:
            raise DataError(f"{found[name]} and {path.name} share the name {name}; remove one of them")
    maps = None if params.maps is None else params.root / params.maps
    return [Pair(name, path, _mask(masks, name + params.suffix), None if maps is None else _mask(maps, name))
            for name, path in found.items()]


def _gray(path: Path, image: NDArray[np.uint8], image_path: Path) -> NDArray[np.uint8]:
    """(H, W) uint8. Raises UnreadableSample for a map that is missing, of another size, or not gray with 8 bits."""
    values = read_values(path)
    check_size(image, values, image_path, path)
    if values.min() < 0 or values.max() > np.iinfo(np.uint8).max:
        raise UnreadableSample(f"map {path.name} has values beyond 0 to 255; store it with 8 bits")
    return values.astype(np.uint8)


def _mask(folder: Path, name: str) -> Path:
    candidates = [folder / f"{name}{suffix}" for suffix in MASKS]
    return next((path for path in candidates if path.is_file()), candidates[0])


def _split(id_: str, params: MaskFolderParams) -> str:
    """By a hash of the name, so that files that are added move no other one."""
    bucket = int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big") % _BUCKETS / _BUCKETS
    train, val, _ = params.shares
    return "train" if bucket < train else "val" if bucket < train + val else "test"
