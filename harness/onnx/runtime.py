"""The one door to onnxruntime: imported late, kept off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.errors import BackendUnavailable

FATAL = 4
"""onnxruntime's log severity. Errors also arrive as exceptions; printed as well they would appear twice."""


def onnxruntime() -> Any:
    """The module, with logging off and telemetry (where the platform has it) disabled.

    Raises BackendUnavailable when it can not be imported.
    """
    if "onnxruntime" not in sys.modules:
        with _silent_stderr():  # it looks for devices while it is imported, before its logger can be configured
            _import()
    module = _import()
    module.set_default_logger_severity(FATAL)
    module.disable_telemetry_events()
    return module


def runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its own classes have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)


def _import() -> Any:
    try:
        import onnxruntime as module
    except ImportError as error:
        raise BackendUnavailable(
            f"onnxruntime can not be imported ({error}): pip install --force-reinstall onnxruntime-gpu, "
            "or onnxruntime where that has no wheel"
        ) from error
    return module


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Native code writes to the file descriptor, so sys.stderr alone would not do."""
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
