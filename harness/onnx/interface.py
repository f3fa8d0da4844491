"""A graph's inputs and outputs, as facts and as text for error messages."""

from __future__ import annotations

from collections.abc import Sequence

from harness.contracts import TensorInfo

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
