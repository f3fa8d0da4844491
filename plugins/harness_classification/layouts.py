"""The two layouts in which the Oxford-IIIT Pet dataset is found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.api import IMAGE_SUFFIXES, DataError

LAYOUTS = ("known layouts: images/ with annotations/trimaps/ and annotations/{list,trainval,test}.txt (official), "
           "or images/ with trimaps/ (flat)")
_NAME = re.compile(r"(?P<breed>.+)_\d+")


@dataclass(frozen=True, slots=True)
class Sample:
    """One listed photograph; the files need not exist. breed: None when the name is not <breed>_<number>."""

    id: str
    breed: str | None
    image: Path
    trimap: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a dataset lie. lists: the folder of the official lists, None in the flat layout."""

    images: Path
    trimaps: Path
    lists: Path | None

    def samples(self, split: str) -> list[Sample]:
        """The samples of a split, sorted by name. Raises DataError when the split is not described or empty."""
        found = self._images()
        names = self._listed(split)
        if names is None:  # whatever has a photograph or a trimap; what lacks its partner is reported when it is read
            names = {*found, *(path.stem for path in _files(self.trimaps, (".png",)))}
        if not names:
            raise DataError(f"{self.images.parent} has no samples (split {split}); {LAYOUTS}")
        return [
            Sample(name, breed(name), found.get(name, self.images / f"{name}.jpg"), self.trimaps / f"{name}.png")
            for name in sorted(names)
        ]

    def list_file(self, split: str) -> Path | None:
        """The official list that decides which samples a split has; None where the folder's content does."""
        if self.lists is None:
            return None
        path = self.lists / ("list.txt" if split == "all" else f"{split}.txt")
        return path if split != "all" or path.is_file() else None

    def _listed(self, split: str) -> set[str] | None:
        path = self.list_file(split)
        if path is None and split == "all":
            return None
        if path is None or not path.is_file():
            where = "the flat layout has" if path is None else f"{path} does not exist, there are"
            raise DataError(f'split = "{split}": {where} no lists of splits; use split = "all", or the official layout')
        return set(_parse(path))

    def _images(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in _files(self.images, IMAGE_SUFFIXES):
            if found.setdefault(path.stem, path) != path:
                raise DataError(f"{found[path.stem]} and {path.name} share the name {path.stem}; remove one of them")
        return found


def find_layout(root: Path) -> Layout:
    """Raises DataError when the folder is missing, empty or in an unknown layout."""
    if not root.is_dir():
        raise DataError(f"the folder {root} does not exist; oxford-pet reads it from `root`, {LAYOUTS}")
    images, annotations, flat = root / "images", root / "annotations", root / "trimaps"
    if images.is_dir() and (annotations / "trimaps").is_dir():
        return Layout(images, annotations / "trimaps", annotations)
    if images.is_dir() and flat.is_dir():
        return Layout(images, flat, None)
    content = ", ".join(sorted(path.name for path in root.iterdir())[:8]) or "nothing"
    raise DataError(f"{root} is not an Oxford-IIIT Pet folder: it contains {content}; {LAYOUTS}")


def breed(name: str) -> str | None:
    """Egyptian_Mau_12 -> Egyptian_Mau; None for a name without a number."""
    match = _NAME.fullmatch(name)
    return match["breed"] if match else None


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """Hidden files are left out: the official archive carries macOS resource forks (._Abyssinian_1.png)."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")


def _parse(path: Path) -> list[str]:
    """Names of a list whose lines are NAME CLASS-ID SPECIES BREED-ID, # starts a comment."""
    names = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.partition("#")[0].split()
        if fields and (len(fields) != 4 or not all(field.isdigit() for field in fields[1:])):
            raise DataError(f"{path}:{number}  expected NAME CLASS-ID SPECIES BREED-ID, found {line.strip()!r}")
        names += fields[:1]
    return names
