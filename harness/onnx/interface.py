"""A graph's inputs and outputs, as facts and as text for error messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contracts import TensorInfo
from harness.errors import ModelFileError, did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"float": "float32", "double": "float64", "string": "str"}


def tensor_info(name: str, onnxruntime_type: str, shape: Sequence[int | str | None] | None) -> TensorInfo:
    """From onnxruntime's own terms, e.g. "tensor(float)"; a generated dimension name counts as unknown."""
    inner = onnxruntime_type.removeprefix("tensor(").removesuffix(")")
    dims = tuple(None if isinstance(dim, str) and dim.startswith("unk__") else dim for dim in shape or ())
    return TensorInfo(name, _DTYPES.get(inner, inner), dims)


def shape_text(shape: Sequence[int | str | None]) -> str:
    """(None, 3, 224, 224) -> "(?, 3, 224, 224)"."""
    return "(" + ", ".join("?" if dim is None else str(dim) for dim in shape) + ")"


def describe(inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> str:
    """One line: name, dtype and shape of every input and output."""
    parts = [", ".join(f"{info.name} {info.dtype} {shape_text(info.shape)}" for info in infos) or "none"
             for infos in (inputs, outputs)]
    return f"the graph's inputs: {parts[0]}; outputs: {parts[1]}"


def batch_size(info: TensorInfo) -> int | None:
    """The fixed size of the first dimension, or None when it is free."""
    return info.shape[0] if info.shape and isinstance(info.shape[0], int) else None


def checked_feeds(path: Path, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo],
                  feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The feeds as contiguous arrays. Raises ModelFileError when they do not fit the graph's inputs."""
    import numpy as np

    infos = {info.name: info for info in inputs}
    problem = _names_problem(infos, feeds) or next(
        filter(None, (_feed_problem(infos[name], array) for name, array in feeds.items() if name in infos)), None)
    if problem is not None:
        raise ModelFileError(f"{path}: {problem}; {describe(inputs, outputs)}")
    return {name: np.ascontiguousarray(array) for name, array in feeds.items()}


def _names_problem(infos: Mapping[str, TensorInfo], feeds: Mapping[str, NDArray[Any]]) -> str | None:
    for name in [*feeds, *infos]:
        if name not in infos:
            return f"no input named {name!r}{did_you_mean(name, infos)}"
        if name not in feeds:
            return f"nothing given for input {name!r}"
    return None


def _feed_problem(info: TensorInfo, array: NDArray[Any]) -> str | None:
    if array.dtype.name != info.dtype:
        return f"input {info.name!r} takes {info.dtype}, got {array.dtype.name}"
    # An empty shape is a scalar or an undeclared rank; the runtime itself tells them apart.
    pairs = list(zip(info.shape, array.shape, strict=False))
    wrong = any(isinstance(dim, int) and dim != given for dim, given in pairs)
    if info.shape and (wrong or len(info.shape) != array.ndim):
        return f"input {info.name!r} takes {shape_text(info.shape)}, got {shape_text(array.shape)}"
    return None
