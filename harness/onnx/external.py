"""Weights that lie in files beside an ONNX file, and the hash of a model with all of its files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.files import replacing

if TYPE_CHECKING:
    import onnx


def initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Those of a graph and of the bodies of its loops and branches."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from initializers(body)


def external_files(path: Path) -> list[Path]:
    """The files of external weights that a model refers to, sorted, whether they are there or not.

    None of a file that is no ONNX: what is wrong with it is for those to say who open it.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import ExternalDataInfo

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except (OSError, DecodeError):
        return []
    outside = (each for each in initializers(graph) if each.data_location == onnx.TensorProto.EXTERNAL)
    return sorted({path.parent / ExternalDataInfo(tensor).location for tensor in outside})


def copy_external(source: Path, target: Path) -> None:
    """Put the weights that `target` refers to as those of `source` beside it, as onnxruntime leaves it to others."""
    for each in external_files(target):
        with replacing(each) as partial:
            shutil.copyfile(source.parent / each.relative_to(target.parent), partial)


def model_sha256(path: Path) -> str:
    """Hexadecimal hash of a model: of its file's bytes, and of those of its external weights where it has some.

    Files are read again only when they were written since. Raises OSError when the file itself can not be read; a
    missing file of weights counts as one of its own.
    """
    own = _sha256(path, path.stat().st_mtime_ns)
    beside = _beside(path, path.stat().st_mtime_ns)
    if not beside:
        return own
    parts = [own, *(_sha256(each, each.stat().st_mtime_ns) if each.is_file() else "" for each in beside)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


@lru_cache(maxsize=64)
def _beside(path: Path, _mtime_ns: int) -> tuple[Path, ...]:
    return tuple(external_files(path))


@lru_cache(maxsize=256)
def _sha256(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
