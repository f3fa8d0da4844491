"""Maps that were made elsewhere: read from files by the ids of the samples."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.api import DataError, Fit, did_you_mean, files_fingerprint, map_to_input, one_of, scaled_map
from harness_saliency.host_params import PrecomputedParams

Floats = NDArray[np.float32]
_ID = "{id}"
_UNREADABLE = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy, Pillow and the archives below raise for files that are torn or something else."""
_DEPTH = {"L": 255, "I;16": 65535, "I": 65535}
"""Largest value of a gray PNG, by Pillow's mode."""


class Precomputed:
    """A harness.saliency.StoredMaps. Raises DataError for a map that is missing, damaged, not a map or not finite."""

    def __init__(self, params: PrecomputedParams) -> None:
        self.params = params
        self._archive = _ID not in str(params.path)
        if self._archive and params.path.suffix != ".npz":
            raise DataError(f'path = "{params.path}": name one file for each sample with "{_ID}" in it, or a single '
                            ".npz with `ids` and `maps`")

    def maps(self, ids: Sequence[str], fits: Sequence[Fit]) -> Floats:
        missing = [id_ for id_ in ids if not self._has(id_)]
        if missing:
            more = f" and for {len(missing) - 1} more samples of this batch" if len(missing) > 1 else ""
            raise DataError(f'there is no map for sample "{missing[0]}"{more}: {self._where(missing[0])}')
        return np.stack([self._placed(id_, fit) for id_, fit in zip(ids, fits, strict=True)])

    def fingerprint(self) -> str:
        if self._archive:
            return files_fingerprint(self.params.path.parent, [self.params.path])
        return files_fingerprint(*self._files())

    def _files(self) -> tuple[Path, list[Path]]:
        """All files that the pattern could name, and the folder they are in."""
        head, _, rest = str(self.params.path).partition(_ID)
        folder = Path(head) if head.endswith("/") else Path(head).parent
        return folder, sorted(folder.rglob(f"*{Path(rest).suffix}")) if folder.is_dir() else []

    def _path(self, id_: str) -> Path:
        return Path(str(self.params.path).replace(_ID, id_))

    def _has(self, id_: str) -> bool:
        return id_ in self._rows if self._archive else self._path(id_).is_file()

    def _where(self, id_: str) -> str:
        if self._archive:
            return f"{self.params.path} has {one_of(self._rows, 5)}{did_you_mean(id_, self._rows)}"
        path, (folder, files) = self._path(id_), self._files()
        names = [str(file.relative_to(folder)) for file in files]
        return f"{path} does not exist; {folder} has {one_of(names, 5)}{did_you_mean(path.name, names)}"

    def _placed(self, id_: str, fit: Fit) -> Floats:
        values, where = self._read(id_)
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        if values.ndim != 2 or not values.size or values.dtype.kind not in "fiub":
            raise DataError(f"{where}: a map is (height, width) numbers, this is {values.dtype} {values.shape}")
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise DataError(f"{where}: {bad} of {values.size} values are NaN or infinite")
        if self.params.covers == "image":
            return map_to_input(values, fit)
        if values.shape == tuple(fit.native) != tuple(fit.size) and not _stretched(fit):
            raise DataError(f"{where}: the map has the size of the photograph {values.shape}, which the model sees "
                            f'cropped or with margins; set covers = "image", or make maps of its input {fit.size}')
        return scaled_map(values, fit.size)

    def _read(self, id_: str) -> tuple[NDArray[Any], str]:
        """The map as it is in its file, and how to name it."""
        if self._archive:
            return self._stack[self._rows[id_]], f'{self.params.path}, sample "{id_}"'
        path = self._path(id_)
        try:
            return (_png(path) if path.suffix.lower() == ".png" else self._numpy(path)), str(path)
        except _UNREADABLE as error:
            raise DataError(f"{path}: can not be read as a map: {error}") from error

    def _numpy(self, path: Path) -> NDArray[Any]:
        with _loaded(path) as found:
            if isinstance(found, np.ndarray):
                return found
            names = list(found)
            name = names[0] if len(names) == 1 else self.params.array
            if name not in names:
                raise DataError(f"{path}: has no array {name!r}{did_you_mean(name, names)}; it has {one_of(names)}; "
                                "set `array`")
            values: NDArray[Any] = found[name]
            return values

    @cached_property
    def _contents(self) -> tuple[dict[str, int], NDArray[Any]]:
        path, name = self.params.path, self.params.array
        try:
            with _loaded(path) as archive:
                if isinstance(archive, np.ndarray):
                    raise ValueError("it is a single array, a .npy by another name")
                absent = [each for each in ("ids", name) if each not in archive]
                if absent:
                    raise DataError(f"{path}: has no array {absent[0]!r}; it has {one_of(list(archive))}")
                ids, stack = [str(each) for each in archive["ids"].reshape(-1)], archive[name]
        except _UNREADABLE as error:
            raise DataError(f"{path}: can not be read as an archive of maps: {error}") from error
        if not stack.ndim:
            raise DataError(f"{path}: {name!r} is one number, {stack.dtype}; it has to be (N, height, width) maps")
        if len(ids) != len(stack) or len(set(ids)) != len(ids):
            raise DataError(f"{path}: {len(ids)} ids, {len(set(ids))} of them different, for {len(stack)} maps")
        return {id_: row for row, id_ in enumerate(ids)}, stack

    @property
    def _rows(self) -> dict[str, int]:
        return self._contents[0]

    @property
    def _stack(self) -> NDArray[Any]:
        return self._contents[1]


@contextmanager
def _loaded(path: Path) -> Iterator[Any]:
    """An array, or an archive of some; numpy itself leaves files open that turn out to be torn."""
    with path.open("rb") as file:
        yield np.load(file, allow_pickle=False)


def _stretched(fit: Fit) -> bool:
    """Whether the whole photograph fills the model's input."""
    filled = fit.native.width * fit.scale_x, fit.native.height * fit.scale_y
    return (fit.offset_x, fit.offset_y) == (0, 0) and np.allclose(filled, (fit.size.width, fit.size.height))


def _png(path: Path) -> Floats:
    """Gray values from 0 to 1."""
    with Image.open(path) as picture:
        if picture.mode not in _DEPTH:
            raise ValueError(f"its pixels are {picture.mode}; save it in 8- or 16-bit gray")
        return np.asarray(picture, np.float32) / np.float32(_DEPTH[picture.mode])
