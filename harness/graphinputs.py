"""Shapes for the inputs of any graph: what the file says, completed by the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.contracts import TensorInfo
from harness.errors import UsageError, did_you_mean, one_of
from harness.onnx.interface import shape_text
from harness.plan import FeedSpec

BATCH = "N"
"""Stands for the batch size in a shape."""


class Feeds(NamedTuple):
    """specs: of all inputs; batch: samples of a query, as far as it can be told."""

    specs: tuple[FeedSpec, ...]
    batch: int


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is given by input name. shapes: lengths, or BATCH; files: .npy files with values, whose shapes count."""

    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)

    def feeds(self, path: Path, batch: int | None) -> Feeds:
        """What the graph's inputs are fed; batch: None for what the shapes say, else 1.

        Raises UsageError that lists the inputs when a length is unknown or does not fit, or a name is none of theirs.
        """
        from harness.onnx.metadata import graph_interface

        inputs = graph_interface(path)[0]
        names = [info.name for info in inputs]
        for name in (*self.shapes, *self.files):
            if name not in names:
                raise UsageError(f"{path}: no input named {name!r}{did_you_mean(name, names)} (it has {one_of(names)})")
        given = {info.name: self._given(info) for info in inputs}
        fixed = _first_length(list(given.values()))
        size = batch or fixed or 1
        if fixed not in (None, size) and not any(BATCH in shape for shape in given.values()):
            raise UsageError(f"{path}: the graph is fixed at batch {fixed} and can not be timed at batch {size}")
        missing = [info for info in inputs if _unknown(info, given[info.name])]
        if missing:
            raise UsageError(f"{path}: the shape of {_listed(missing)} is not known; give "
                             + " ".join(f"--shape {info.name}={_suggestion(info)}" for info in missing))
        return Feeds(tuple(self._spec(path, info, given[info.name], size) for info in inputs), size)

    def _given(self, info: TensorInfo) -> Sequence[int | str | None]:
        """Lengths as far as they are known; the first one of a graph with a free batch is the batch."""
        if info.name in self.files:
            return _shape_of(self.files[info.name])
        if info.name in self.shapes:
            return list(self.shapes[info.name])
        dims: list[int | str | None] = [dim if isinstance(dim, int) else None for dim in info.shape]
        if dims and dims[0] is None:
            dims[0] = BATCH
        return dims

    def _spec(self, path: Path, info: TensorInfo, given: Sequence[int | str | None], batch: int) -> FeedSpec:
        shape = tuple(batch if dim == BATCH else int(dim) for dim in given if dim is not None)
        wrong = any(isinstance(dim, int) and dim != length for dim, length in zip(info.shape, shape, strict=False))
        if info.shape and (wrong or len(info.shape) != len(shape)):
            raise UsageError(f"{path}: input {info.name!r} takes {shape_text(info.shape)}, {shape_text(shape)} was "
                             "given")
        return FeedSpec(info.name, info.dtype, shape, self.files.get(info.name))


def read_shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    """NAME=N,3,224,224 -> its parts. Raises UsageError."""
    name, separator, dims = text.partition("=")
    parts = [part.strip() for part in dims.replace("x", ",").split(",") if part.strip()]
    if not separator or not name or not all(part == BATCH or (part.isdecimal() and int(part) > 0) for part in parts):
        raise UsageError(f"--shape {text}: must be NAME=LENGTHS, e.g. image={BATCH},3,224,224 ({BATCH} is the batch)")
    return name, tuple(part if part == BATCH else int(part) for part in parts)


def _first_length(shapes: Sequence[Sequence[int | str | None]]) -> int | None:
    """The batch that shapes with a number in front agree on."""
    found = {shape[0] for shape in shapes if shape and isinstance(shape[0], int)}
    return found.pop() if len(found) == 1 else None


def _unknown(info: TensorInfo, given: Sequence[int | str | None]) -> bool:
    return None in given or (not given and not info.shape and info.dtype == "unknown")


def _listed(infos: Sequence[TensorInfo]) -> str:
    return ", ".join(f"{info.name!r} {shape_text(info.shape)}" for info in infos)


def _suggestion(info: TensorInfo) -> str:
    dims = [BATCH if index == 0 else str(dim) if isinstance(dim, int) else "LENGTH"
            for index, dim in enumerate(info.shape)]
    return ",".join(dims)


def _shape_of(path: Path) -> list[int | str | None]:
    import numpy as np

    try:
        return list(np.load(str(path), mmap_mode="r", allow_pickle=False).shape)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: can not be read as a .npy file: {error}") from None
