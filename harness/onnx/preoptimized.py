"""Graphs as onnxruntime optimized them, kept in the cache: a session opens faster when nothing is left to optimize."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from harness.cache import default_folder
from harness.files import replacing
from harness.onnx.external import model_sha256
from harness.onnx.precision.prepare import optimized
from harness.onnx.runtime import onnxruntime
from harness.onnx.session import Optimization


def preoptimized(path: Path, level: Optimization) -> Path:
    """The file that onnxruntime made of a graph at this level; `path` itself at "none".

    At "all" it is for this CPU only, so that its name is part of where it is kept. Raises ModelFileError for a file
    that can not be used.
    """
    if level == "none":
        return path
    target = default_folder(os.environ) / "optimized" / _key(path, level) / path.name
    if not target.is_file():
        with replacing(target) as partial:
            optimized(path, partial, level)
    return target


def _key(path: Path, level: str) -> str:
    total = hashlib.sha256((model_sha256(path) if path.is_file() else "").encode())
    for part in (level, str(onnxruntime().__version__), platform.machine(), _processor()):
        total.update(part.encode())
    return total.hexdigest()[:20]


def _processor() -> str:
    """Model and instructions of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
