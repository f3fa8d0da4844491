"""Graphs that hold no weights of their own: they point into the file that they were made from."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelFileError
from harness.onnx.external import initializers

if TYPE_CHECKING:
    import onnx

SMALLEST = 1024
"""Bytes of the smallest tensor that is shared."""


def save_sharing(model: onnx.ModelProto, path: Path, base: Path) -> list[str]:
    """Write `model` to `path`; weights whose bytes are in the file `base` as well become references into it.

    base: the ONNX file that the model was made from, in the folder of `path` or below it, as ONNX wants external data
    to be; it has to stay there, unchanged. The given model stays as it is, and holds all weights. Returns the names of
    the initializers that are shared; a graph made with fold_batch_norm shares only what was not folded.
    Raises ModelFileError when `base` can not be read, lies elsewhere, or is `path` itself.
    """
    import onnx

    location = _location(path, base)
    shared = onnx.ModelProto()
    shared.CopyFrom(model)
    large = [tensor for tensor in initializers(shared.graph) if _bytes(tensor) >= SMALLEST]
    names = _refer(large, base, location) if large else []
    path.write_bytes(shared.SerializeToString())
    return names


def _location(path: Path, base: Path) -> str:
    if not base.is_file():
        raise ModelFileError(f"{base}: no such model file")
    folder, target = path.resolve().parent, base.resolve()
    if target == path.resolve():
        raise ModelFileError(f"{path}: a graph can not share weights with the file that it overwrites")
    if not target.is_relative_to(folder):
        raise ModelFileError(f"{path}: shared weights have to lie in the folder of the graph or below; write it to "
                             f"{target.parent}, or do not share weights")
    return target.relative_to(folder).as_posix()


def _refer(tensors: Sequence[onnx.TensorProto], base: Path, location: str) -> list[str]:
    """Replace the data of each tensor that occurs in the file by its place there."""
    from onnx import numpy_helper

    names, start = [], 0
    with base.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for tensor in tensors:
            data = numpy_helper.to_array(tensor).tobytes()
            offset = content.find(data, start)
            offset = content.find(data) if offset < 0 else offset
            if offset >= 0:
                _point(tensor, location, offset, len(data))
                names.append(tensor.name)
                start = offset
    return names


def _point(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    from onnx import TensorProto

    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)


def _bytes(tensor: onnx.TensorProto) -> int:
    """Of the data in the model itself; 0 where it is external already, or has no fixed size."""
    import math

    from onnx import TensorProto, helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
        return 0
    return int(math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
