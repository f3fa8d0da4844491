"""What a worker tells of an exception, of its end, and of its memory."""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

from harness.errors import HandledError
from harness.results import ErrorResult


def error_result(error: BaseException) -> ErrorResult:
    """The last place in the code and the plugin that was at work; only for errors that nobody foresaw."""
    notes = "; ".join(getattr(error, "__notes__", []))
    if isinstance(error, HandledError):
        return ErrorResult(type=type(error).__name__, message=str(error), where=notes or None)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return ErrorResult(type=type(error).__name__, message=str(error) or type(error).__name__,
                       where="; ".join(filter(None, [place, notes])) or None)


def peak_rss_mb() -> float | None:
    """Peak resident memory of this process in MB; None where the system does not tell."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    return None


def exit_reason(exit_code: int) -> str:
    """In words; a negative exit code is the signal that killed the process."""
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        return f"exit code {exit_code}"
    return name + (" (out of memory?)" if name == "SIGKILL" else "")
