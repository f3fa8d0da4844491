"""Prepared samples in the cache folder: arrays without Python objects, the pixels mapped into memory, not read.

A cache may always be lost: what is absent, damaged or of an unknown kind is prepared again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.card import InputSpec
from harness.geometry import Fit, Size
from harness.prepared import Prepared
from harness.table import Array
from harness.tasks import Target

_PIXELS, _REST, _TEXTS = "pixels.npy", "rest.npz", "texts.json"


def store(folder: Path, data: Prepared) -> bool:
    """Write the samples to a new folder; False when their targets hold what is neither array, number nor text."""
    encoded = encode_targets(data.targets)
    if encoded is None:
        return False
    arrays, texts = encoded
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        np.save(scratch / _PIXELS, data.pixels, allow_pickle=False)
        np.savez(scratch / _REST, allow_pickle=False, fits=_fit_rows(data.fits), **arrays)
        text = json.dumps({"ids": list(data.ids), "targets": texts})
        (scratch / _TEXTS).write_text(text, encoding="utf-8")
        if not folder.exists():  # another process may have been faster
            scratch.rename(folder)
    except OSError:  # a full disk costs time, not the training
        return False
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def load(folder: Path, kind: type[Target], spec: InputSpec) -> Prepared | None:
    """What `store` wrote there, with targets of the given kind; None when it is absent or can not be used."""
    try:
        texts = json.loads((folder / _TEXTS).read_text(encoding="utf-8"))
        with (folder / _REST).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        pixels = np.load(folder / _PIXELS, mmap_mode="r", allow_pickle=False)
        fits = [Fit(Size(int(r[0]), int(r[1])), Size(int(r[2]), int(r[3])), *map(float, r[4:])) for r in arrays["fits"]]
        targets = decode_targets(kind, len(pixels), arrays, texts["targets"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Prepared(pixels, targets, fits, texts["ids"], spec)


def encode_targets(targets: Sequence[Target]) -> tuple[dict[str, Array], dict[str, list[str | None]]] | None:
    """Fields of the targets as arrays and texts, by field; None when a field holds something else.

    An array field gives its values one after the other, and one row of shape per sample, -1 where the sample has none.
    """
    arrays: dict[str, Array] = {}
    texts: dict[str, list[str | None]] = {}
    for field in fields(targets[0]):
        values = [getattr(target, field.name) for target in targets]
        given = [value for value in values if value is not None]
        if not given:
            continue
        if all(isinstance(value, str) for value in given):
            texts[field.name] = values
        elif len({(value.dtype, value.ndim) if isinstance(value, np.ndarray) else None for value in given}) == 1 \
                and isinstance(given[0], np.ndarray):
            arrays[f"{field.name}.values"] = np.concatenate([value.ravel() for value in given])
            none = (-1,) * given[0].ndim
            arrays[f"{field.name}.shapes"] = np.array([none if v is None else v.shape for v in values], np.int64)
        else:
            return None
    return arrays, texts


def decode_targets(kind: type[Target], count: int, arrays: Mapping[str, Array],
                   texts: Mapping[str, Sequence[str | None]]) -> list[Target]:
    """The inverse of `encode_targets`."""
    columns: dict[str, Sequence[Any]] = dict(texts)
    for name in {key.rpartition(".")[0] for key in arrays if key.endswith(".shapes")}:
        columns[name] = _cut(arrays[f"{name}.values"], arrays[f"{name}.shapes"])
    return [kind(**{name: column[index] for name, column in columns.items()}) for index in range(count)]


def _cut(values: Array, shapes: NDArray[np.int64]) -> list[Array | None]:
    there: NDArray[np.bool_] = np.all(shapes >= 0, axis=1)
    lengths = np.where(there, shapes.prod(axis=1), 0)
    ends = np.cumsum(lengths)
    return [values[end - length : end].reshape(shape) if present else None
            for present, shape, length, end in zip(there.tolist(), shapes, lengths, ends, strict=True)]


def _fit_rows(fits: Sequence[Fit]) -> NDArray[np.float64]:
    return np.array([[*fit.native, *fit.size, fit.scale_x, fit.scale_y, fit.offset_x, fit.offset_y] for fit in fits])
