"""The model card inside an ONNX file (`metadata_props`, key `harness`), read without loading any weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.contracts import TensorInfo
from harness.errors import ModelFileError

if TYPE_CHECKING:
    import onnx

    from harness.card import ModelCard

KEY = "harness"
# Field numbers of onnx.ModelProto and StringStringEntryProto (onnx/onnx.proto3); they never change.
_IR_VERSION, _GRAPH, _METADATA = 1, 7, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_card(path: Path) -> dict[str, Any] | None:
    """The card of an ONNX file as a dict, or None when it has none. Reads a few hundred bytes of any file.

    Raises ModelFileError when the file is missing, truncated, not ONNX, or its card is damaged.
    """
    text = read_metadata(path).get(KEY)
    if text is None:
        return None
    try:
        card = json.loads(text)
    except ValueError as error:
        raise ModelFileError(f"{path}: its metadata entry {KEY!r} is not JSON ({error}); export it again") from error
    if not isinstance(card, dict):
        raise ModelFileError(f"{path}: its metadata entry {KEY!r} is not an object; export it again")
    return card


def read_metadata(path: Path) -> dict[str, str]:
    """All `metadata_props` of an ONNX file; the graph is skipped over, not parsed."""
    metadata: dict[str, str] = {}
    seen = set()
    try:
        with path.open("rb") as file:
            for number, value in _fields(file, path.stat().st_size, keep=_METADATA):
                seen.add(number)
                if number == _METADATA:
                    key, text = _entry(value)
                    metadata[key] = text
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such model file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: can not be read: {error.strerror}") from error
    except ValueError as error:
        raise _not_onnx(path, str(error)) from error
    if not {_IR_VERSION, _GRAPH} <= seen:
        raise _not_onnx(path, "no graph in it")
    return metadata


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Store the card in the model, in place of one that is there; other metadata stays."""
    others = [(entry.key, entry.value) for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    for key, value in [*others, (KEY, card.model_dump_json(exclude_none=True))]:
        model.metadata_props.add(key=key, value=value)


def graph_interface(path: Path) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Inputs (without initializers) and outputs as the file declares them; external data is not touched.

    Raises ModelFileError when the file can not be parsed.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path}: can not be read as ONNX: {error}") from error
    initializers = {tensor.name for tensor in graph.initializer}
    return _infos([value for value in graph.input if value.name not in initializers]), _infos(graph.output)


def _not_onnx(path: Path, why: str) -> ModelFileError:
    return ModelFileError(f"{path}: not an ONNX file, or truncated ({path.stat().st_size} bytes): {why}")


def _infos(values: Sequence[onnx.ValueInfoProto]) -> list[TensorInfo]:
    from onnx import helper

    infos = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim)
        infos.append(TensorInfo(value.name, dtype, shape))
    return infos


def _fields(file: BinaryIO, end: int, keep: int | None = None) -> Iterator[tuple[int, bytes]]:
    """(number, content) of each protobuf field up to `end`; content only of length-delimited ones to `keep`.

    Raises ValueError where the bytes are no protobuf message.
    """
    while file.tell() < end:
        number, kind = divmod(_varint(file), 8)
        size = {_VARINT: 0, _FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _VARINT:
            _varint(file)
        elif kind == _BYTES:
            size = _varint(file)
        if size is None or number == 0:
            raise ValueError("bytes that no protobuf message has")
        if file.tell() + size > end:
            raise ValueError(f"a field reaches {file.tell() + size - end} bytes beyond the end")
        wanted = kind == _BYTES and keep in (None, number)
        yield number, file.read(size) if wanted else b""
        if not wanted:
            file.seek(size, 1)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number that is too long")


def _entry(content: bytes) -> tuple[str, str]:
    from io import BytesIO

    parts = {number: value.decode() for number, value in _fields(BytesIO(content), len(content))}
    return parts.get(_ENTRY_KEY, ""), parts.get(_ENTRY_VALUE, "")
