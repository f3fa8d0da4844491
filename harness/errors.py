"""Errors that the command line prints as one clear message, without a traceback.

Every error says what is wrong, where, whose it is, and the way out. The class decides the exit code.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXIT_OK = 0
EXIT_GATE = 1
EXIT_USAGE = 2
EXIT_CELLS = 3
EXIT_PLUGIN = 4
EXIT_INTERRUPTED = 130


class HandledError(Exception):
    """Base of all expected errors: the message is complete, a traceback adds nothing for the user."""

    exit_code = EXIT_USAGE


class UsageError(HandledError):
    """A command was called with arguments that do not fit."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a suite file.

    path: the key path, e.g. ("models", "heatmap", "devise"); line: 1-based, None when unknown.
    """

    file: Path
    line: int | None
    path: tuple[str | int, ...]
    message: str
    exit_code: int = EXIT_USAGE

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        key = format_path(self.path)
        return f"{where}  {key}: {self.message}" if key else f"{where}  {self.message}"


class SuiteError(HandledError):
    """A suite file is invalid; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (str(p.file), p.line or 0, str(p.path))))
        # Precedence of exit codes: an invalid suite (2) outranks a missing plugin (4).
        self.exit_code = EXIT_USAGE if any(p.exit_code == EXIT_USAGE for p in problems) else EXIT_PLUGIN
        super().__init__("\n".join(map(str, self.problems)))


class PluginError(HandledError):
    """A plugin that is needed is missing, broken, ambiguous, or breaks its contract."""

    exit_code = EXIT_PLUGIN


class CellError(HandledError):
    """A cell can not be measured: its model, its data or its outputs are unusable."""

    exit_code = EXIT_CELLS


class ModelFileError(CellError):
    """A model file is missing, not ONNX, truncated, or does not have the names that were given."""


class DataError(CellError):
    """A dataset is missing, empty, or in another layout than its plugin reads."""


class TaskMismatch(CellError):
    """Predictions and targets, or a model and a dataset, do not belong to one task or differ in shape."""


class BackendUnavailable(CellError):
    """The backend can not run on this machine; the cell is skipped, never measured on something else."""


class MissingDependency(HandledError):
    """An optional package is needed; the message ends with the command that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'vision-harness[{extra}]'")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean "x"?' for the closest known name, otherwise an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def one_of(known: Iterable[str], most: int = 12) -> str:
    """A readable, bounded enumeration for error messages."""
    names = sorted(known)
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")


def format_path(path: Sequence[str | int]) -> str:
    """("bench", 0, "models") -> "bench[0].models"."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
