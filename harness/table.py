"""Columns of per-sample results: dense arrays and ragged ones, saved as .npz without Python objects."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.files import replacing

Array = NDArray[Any]
_OFFSETS = "#offsets"
# What a damaged archive makes zipfile, zlib and numpy raise beside ValueError and OSError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, RuntimeError, SyntaxError, TypeError)


@dataclass(frozen=True, slots=True)
class Ragged:
    """A column whose samples have different lengths, e.g. the boxes of each image.

    values: (total, ...) the samples one after the other; offsets: (n + 1,) int64, sample i is
    values[offsets[i]:offsets[i + 1]].
    """

    values: Array
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, samples: Sequence[Array]) -> Ragged:
        """Raises ValueError for an empty sequence: the trailing shape and dtype would be unknown."""
        lengths = np.array([len(sample) for sample in samples], np.int64)
        return cls(np.concatenate(samples), np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))

    @classmethod
    def grouped(cls, values: Array, owners: NDArray[np.int64], count: int) -> Ragged:
        """Sample i gets the values whose owner is i, in their order; owners: (total,), from 0 to count - 1."""
        lengths = np.bincount(owners, minlength=count)
        return cls(values[np.argsort(owners, kind="stable")], np.concatenate([np.zeros(1, np.int64),
                                                                              np.cumsum(lengths, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Array:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def take(self, indices: NDArray[np.int64]) -> Ragged:
        lengths = np.diff(self.offsets)[indices]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(self.offsets[indices], lengths) + within], offsets)


Column = Array | Ragged


class Table(Mapping[str, Column]):
    """Named columns of equal length, one entry per sample.

    Raises ValueError when the columns differ in length, and for a name that ends in "#offsets".
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = dict(columns)
        for name in self._columns:
            if name.endswith(_OFFSETS):  # in a file that is where a ragged column's samples begin
                raise ValueError(f'a column can not be called "{name}": names that end in "{_OFFSETS}" are reserved')
        lengths = {name: len(column) for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")
        self.rows = next(iter(lengths.values()), 0)

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def dense(self, name: str) -> Array:
        """The column as an array; raises TypeError when it is ragged."""
        column = self._columns[name]
        if isinstance(column, Ragged):
            raise TypeError(f"column {name!r} is ragged")
        return column

    def ragged(self, name: str) -> Ragged:
        """The column as a Ragged; raises TypeError when it is dense."""
        column = self._columns[name]
        if not isinstance(column, Ragged):
            raise TypeError(f"column {name!r} is dense")
        return column

    def take(self, indices: NDArray[np.int64]) -> Table:
        """The rows at the given indices, in that order, repetitions allowed (bootstrap)."""
        return Table({
            name: column.take(indices) if isinstance(column, Ragged) else column[indices]
            for name, column in self._columns.items()
        })

    def select(self, names: Sequence[str]) -> Table:
        return Table({name: self._columns[name] for name in names})

    @classmethod
    def concat(cls, tables: Sequence[Table]) -> Table:
        """All rows of all tables. Raises ValueError when their columns differ."""
        if not tables:
            return cls({})
        if any(set(table) != set(tables[0]) for table in tables):
            raise ValueError(f"tables with different columns: {sorted({tuple(table) for table in tables})}")
        return cls({name: _concat([table[name] for table in tables]) for name in tables[0]})

    def save(self, path: Path) -> None:
        """Write atomically: a reader sees the old file or the whole new one."""
        arrays: dict[str, Array] = {}
        for name, column in self._columns.items():
            if isinstance(column, Ragged):
                arrays[name], arrays[name + _OFFSETS] = column.values, column.offsets
            else:
                arrays[name] = column
        with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():  # numpy's savez takes names for its own arguments, e.g. "file"
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    @classmethod
    def load(cls, path: Path) -> Table:
        """Raises ValueError or OSError when the file is damaged or absent."""
        try:
            # Opened here: numpy leaves the file open when the archive is damaged.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except _DAMAGE as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        return cls({
            name: Ragged(values, arrays[name + _OFFSETS]) if name + _OFFSETS in arrays else values
            for name, values in arrays.items()
            if not name.endswith(_OFFSETS)
        })


def _concat(columns: Sequence[Column]) -> Column:
    ragged = [column for column in columns if isinstance(column, Ragged)]
    if not ragged:
        return np.concatenate([column for column in columns if not isinstance(column, Ragged)])
    lengths = np.concatenate([np.diff(column.offsets) for column in ragged])
    return Ragged(
        np.concatenate([column.values for column in ragged]),
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
    )
