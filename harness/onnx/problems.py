"""From what onnxruntime says about a file it can not open to one line that tells what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.errors import ModelFileError
from harness.onnx.external import external_files

_UNKNOWN_OP = re.compile(r"No Op registered for (?P<op>\S+) with domain_version of (?P<version>\d+)")
_UNREGISTERED = re.compile(r"Fatal error: (?P<op>\S+?)\(-?\d+\) is not a registered function/op")
_NO_KERNEL = re.compile(r"Could not find an implementation for (?P<op>[^\s(]+)\((?P<version>\d+)\)")
_OPSET = re.compile(r"Opset (?P<opset>\d+) is under development.*?(?:till|up to) opset (?P<most>\d+)", re.DOTALL)
_OPSET_BARE = re.compile(r"Opset (?P<opset>\d+) is under development")
_IR = re.compile(r"Unsupported model IR version: (?P<ir>\d+), max supported IR version: (?P<most>\d+)")
_PREFIX = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/\S+\.(?:cc|h):\d+ .*?\) ")


def shorten(message: str, most: int = 240) -> str:
    """onnxruntime's message in one line, without its source locations."""
    line = " ".join(_PREFIX.sub("", message).split())
    return line if len(line) <= most else line[: most - 3] + "..."


def open_problem(path: Path, error: Exception) -> ModelFileError:
    """The error to raise when onnxruntime could not open `path`."""
    if not path.is_file():
        return ModelFileError(f"{path}: no such model file")
    message, size = str(error), path.stat().st_size
    if "Protobuf parsing failed" in message or "No graph was found" in message:
        return ModelFileError(f"{path}: not an ONNX file, or truncated ({size} bytes); onnxruntime: {shorten(message)}")
    missing = _missing_external(path)
    if missing:
        return ModelFileError(f"{path}: its external data {missing} is missing; it must lie beside the model file")
    return ModelFileError(f"{path}: {_unsupported(message) or 'onnxruntime can not open it: ' + shorten(message)}")


def _unsupported(message: str) -> str | None:
    if found := _UNKNOWN_OP.search(message):
        return f"operator {found['op']} is not in opset {found['version']}; export with an opset that has it"
    if found := _UNREGISTERED.search(message):
        return f"operator {found['op']} is unknown to onnxruntime; export without custom operators"
    if found := _NO_KERNEL.search(message):
        return (f"operator {found['op']} (opset {found['version']}) has no kernel for these types in onnxruntime; "
                "export it in another precision or opset")
    if found := _OPSET.search(message):
        return f"opset {found['opset']} is newer than the installed onnxruntime supports ({found['most']}); " + _NEWER
    if found := _OPSET_BARE.search(message):
        return f"opset {found['opset']} is newer than the installed onnxruntime supports; {_NEWER}"
    if found := _IR.search(message):
        return f"IR version {found['ir']} is newer than the installed onnxruntime reads ({found['most']}); {_NEWER}"
    return None


_NEWER = "upgrade onnxruntime or export with an older opset"


def _missing_external(path: Path) -> str | None:
    """The first file of external weights that is not there."""
    missing = (each for each in external_files(path) if not each.is_file())
    return next((os.path.relpath(each, path.parent) for each in missing), None)
