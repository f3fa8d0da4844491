"""Windows of large TIFF files, without the rest of them in memory.

tifffile finds the strips or tiles and decodes single ones; Pillow would allocate and decode the whole picture first.
Uncompressed files are mapped.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from harness.api import DataError, MissingDependency, UnreadableSample

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

LARGEST_SEGMENT = 64 * 2**20
"""Bytes of a decoded strip or tile; a compressed file with larger ones can not be read by window."""


class TiffWindows:
    """The first page of a TIFF file, uint8. shape: (height, width, channels).

    Raises UnreadableSample for a file that is missing, damaged or of a kind that can not be read by window.
    """

    def __init__(self, path: Path) -> None:
        tifffile = _tifffile()
        self.path = path
        try:
            self._file: TiffFile = tifffile.TiffFile(path)
        except FileNotFoundError:
            raise UnreadableSample(f"{path.parent.name}/{path.name} does not exist") from None
        except (OSError, tifffile.TiffFileError, ValueError, IndexError) as error:
            raise UnreadableSample(f"{path.parent.name}/{path.name} is damaged or no TIFF file: {error}") from error
        try:
            self._page = self._checked()
        except BaseException:
            self._file.close()
            raise
        self.shape = (self._page.imagelength, self._page.imagewidth, self._page.samplesperpixel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()

    def read(self, top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, channels) uint8; the window must lie inside. Raises UnreadableSample for damaged content."""
        window = np.zeros((height, width, self.shape[2]), np.uint8)
        try:
            if self._page.is_memmappable:
                mapped = np.memmap(self.path, np.uint8, "r", self._page.dataoffsets[0], self.shape)
                window[:] = mapped[top : top + height, left : left + width]
                return window
            for row, column, index in self._segments(top, left, height, width):
                self._paste(window, self._decode(index), row - top, column - left)
        except (ValueError, OSError, RuntimeError, IndexError, zlib.error) as error:
            raise UnreadableSample(f"{self.path.name} can not be decoded: {str(error).splitlines()[0]}") from error
        return window

    def _checked(self) -> TiffPage:
        page: Any = self._file.pages[0]
        size = math.prod(self._segment_shape(page)) * page.samplesperpixel
        problem = None
        if page.dtype != np.uint8:
            problem = f"it holds {page.dtype}, not 8-bit values"
        elif page.samplesperpixel > 1 and page.planarconfig != 1:
            problem = "its channels lie in separate planes"
        elif not page.is_memmappable and size > LARGEST_SEGMENT:
            problem = f"it is compressed in one piece of {size >> 20} MiB; store it in tiles"
        if problem:
            raise UnreadableSample(f"{self.path.name} can not be read by window: {problem}")
        checked: TiffPage = page
        return checked

    @staticmethod
    def _segment_shape(page: Any) -> tuple[int, int]:
        if page.is_tiled:
            return page.tilelength, page.tilewidth
        return min(page.rowsperstrip, page.imagelength), page.imagewidth

    def _segments(self, top: int, left: int, height: int, width: int) -> Iterator[tuple[int, int, int]]:
        """(row, column, index) of each strip or tile that the window touches."""
        rows, columns = self._segment_shape(self._page)
        across = math.ceil(self.shape[1] / columns)
        for y in range(top // rows, (top + height - 1) // rows + 1):
            for x in range(left // columns, (left + width - 1) // columns + 1):
                yield y * rows, x * columns, y * across + x

    def _decode(self, index: int) -> NDArray[np.uint8]:
        """(h, w, channels) of one strip or tile."""
        handle = self._file.filehandle
        handle.seek(self._page.dataoffsets[index])
        content = handle.read(self._page.databytecounts[index])
        segment = self._page.decode(content, index, jpegtables=self._page.jpegtables)[0]
        if segment is None:
            raise ValueError(f"piece {index} is empty")
        return np.asarray(segment[0], np.uint8)

    @staticmethod
    def _paste(window: NDArray[np.uint8], segment: NDArray[np.uint8], row: int, column: int) -> None:
        height, width = window.shape[:2]
        y0, x0 = max(0, row), max(0, column)
        y1, x1 = min(height, row + segment.shape[0]), min(width, column + segment.shape[1])
        window[y0:y1, x0:x1] = segment[y0 - row : y1 - row, x0 - column : x1 - column]


class Checksums:
    """SHA-256 of files as `sha256sum` writes them, names relative to the root; each file is checked once.

    Raises DataError when the list is missing or a line is not one of `sha256sum`.
    """

    def __init__(self, root: Path, path: Path | None) -> None:
        self.root, self.path = root, path
        self.expected = dict(_parsed(path)) if path else {}

    def check(self, path: Path) -> None:
        """Raises UnreadableSample when the file is listed and differs."""
        name = path.relative_to(self.root).as_posix()
        expected = self.expected.pop(name, None)
        if expected is None or not path.is_file():
            return
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            self.expected[name] = expected  # every sample of this file is refused
            raise UnreadableSample(f"{name} has another checksum than in {self.path}; copy it again")


def _parsed(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the list of checksums can not be read: {error}") from error
    for number, line in enumerate(lines, 1):
        digest, _, name = line.partition(" ")
        if line.strip() and (len(digest) != 64 or not name.strip()):
            raise DataError(f"{path}:{number}  expected SHA256 NAME as sha256sum writes it, found {line.strip()!r}")
        if line.strip():
            yield name.strip().removeprefix("*"), digest.lower()


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingDependency("tifffile", "aerial", "reading aerial tiles by window") from error
    return tifffile
