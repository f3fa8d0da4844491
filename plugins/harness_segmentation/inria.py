"""Inria aerial image labeling (Maggiori 2017): buildings on tiles of 5000 x 5000 pixels, read by window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.api import DataError, SegmentationTarget, UnreadableSample, evenly
from harness_segmentation.files import FileDataset, Read, to_classes
from harness_segmentation.params import INRIA_CITIES, InriaAerialParams
from harness_segmentation.tiff import Checksums, TiffWindows

LABELS = ("background", "building")
_VALUES = {0: 0, 255: 1}
_TILES = range(1, 37)
_VALIDATION = 5
"""Tiles 1 to 5 of each city are for validation, as the benchmark's authors suggest."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square part of a tile; top, left, size in pixels."""

    image: Path
    mask: Path
    top: int
    left: int
    size: int

    @property
    def id(self) -> str:
        return f"{self.image.stem}-{self.top}-{self.left}"

    def files(self) -> Iterable[Path]:
        return (self.image, self.mask)


class InriaAerial(FileDataset[Window]):
    """Windows side by side over the tiles of the official split; what remains at the right and lower edge is left out.

    Raises DataError when the folder or a tile is missing, MissingDependency without tifffile.
    """

    def __init__(self, params: InriaAerialParams) -> None:
        self.checksums = Checksums(params.root, params.checksums)
        samples = [window for image, mask in _tiles(params) for window in _windows(image, mask, params)]
        super().__init__(params.root, evenly(samples, params.count), self._read)

    def _read(self, window: Window) -> Read:
        box = window.top, window.left, window.size, window.size
        for path in window.files():
            self.checksums.check(path)
        with TiffWindows(window.image) as tile, TiffWindows(window.mask) as truth:
            if tile.shape[:2] != truth.shape[:2]:
                raise UnreadableSample(f"{window.image.name} has {tile.shape[1]} x {tile.shape[0]} pixels, its mask "
                                       f"{truth.shape[1]} x {truth.shape[0]}")
            if tile.shape[2] != 3 or truth.shape[2] != 1:
                raise UnreadableSample(f"{window.image.name} has {tile.shape[2]} channels and its mask "
                                       f"{truth.shape[2]}, expected 3 and 1")
            image, values = tile.read(*box), truth.read(*box)[:, :, 0].astype(np.int32)
        return image, SegmentationTarget(mask=to_classes(values, _VALUES, window.mask), labels=LABELS)


def _tiles(params: InriaAerialParams) -> Iterator[tuple[Path, Path]]:
    folder = params.root / "train"
    split = params.test if params.split == "test" else params.split
    if split == "refuse":
        raise DataError('split = "test": the masks of the official test tiles are not public; use split = "val", or '
                        'test = "val"')
    if not (folder / "images").is_dir() or not (folder / "gt").is_dir():
        raise DataError(f"{params.root} has no train/images and train/gt; unpack the archive of "
                        "https://project.inria.fr/aerialimagelabeling there (it needs a registration, nothing is "
                        "downloaded here)")
    wanted = [f"{city}{number}.tif" for city in params.cities for number in _TILES
              if (number <= _VALIDATION) == (split == "val")]
    missing = [name for name in wanted for kind in ("images", "gt") if not (folder / kind / name).is_file()]
    if missing and not params.incomplete:
        raise DataError(f"{folder}: {len(missing)} files of split \"{split}\" are missing, the first is {missing[0]}; "
                        f"set cities to those that are there (of {', '.join(INRIA_CITIES)}), or incomplete = true")
    present = [name for name in wanted if name not in missing]
    if not present:
        raise DataError(f'{folder}: no tile of split "{split}" is there')
    yield from ((folder / "images" / name, folder / "gt" / name) for name in present)


def _windows(image: Path, mask: Path, params: InriaAerialParams) -> Iterator[Window]:
    try:
        with TiffWindows(image) as tile:
            height, width = tile.shape[:2]
    except UnreadableSample:  # reported as the sample that it would have begun with
        height = width = params.window
    if min(height, width) < params.window:
        raise DataError(f"{image} has {width} x {height} pixels, a window needs {params.window}; set a smaller window")
    for top in range(0, height - params.window + 1, params.window):
        for left in range(0, width - params.window + 1, params.window):
            yield Window(image, mask, top, left, params.window)
