"""The folder of one run: cells appended as they finish, results written at the end, raw data beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from harness.errors import UsageError, format_path
from harness.files import write_text
from harness.results import CellResult, Results

CELLS = "cells.jsonl"
RESULTS = "results.json"
REPORT = "report.html"
"""What the first-party reporter writes beside the results."""
_PREVIOUS = (CELLS, RESULTS, REPORT)


class RunDirectory:
    """A folder with cells.jsonl while the run goes on and results.json when it is done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        return (self.path / RESULTS).exists()

    @contextmanager
    def started(self, *, fresh: bool = False) -> Iterator[None]:
        """Make the folder and hold it against other runs; forget a run that is finished, or any with `fresh`.

        What is forgotten stays as previous.NAME until the new results are written.
        Raises UsageError when the folder can not be written or another process is running in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = self._lock()
            lock.acquire(timeout=0)
        except OSError as error:  # a Timeout of the lock is one as well
            busy = isinstance(error, Timeout)
            why = "another run is writing to it" if busy else f"can not be written: {error.strerror}"
            raise UsageError(f"{self.path}: {why}; choose another --output") from None
        with lock:
            if fresh or self.finished:  # raw data is overwritten cell by cell
                for name in _PREVIOUS:
                    with suppress(FileNotFoundError):
                        (self.path / name).replace(self.path / f"previous.{name}")
            self._end_cut_line()
            yield

    @property
    def busy(self) -> bool:
        """Whether this process can not run in it: another one does, or it may not write here."""
        try:
            with self._lock().acquire(timeout=0):
                return False
        except OSError:  # a Timeout of the lock is one as well
            return True

    def _lock(self) -> FileLock:
        return FileLock(self.path / ".lock")

    def append(self, result: CellResult) -> None:
        """Add a cell so that it survives a kill or a power cut at any later moment."""
        line = result.model_dump_json() + "\n"
        with (self.path / CELLS).open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def cells(self) -> Iterator[CellResult]:
        """The cells so far, the last one of each key; a line cut off by a kill is left out."""
        latest: dict[str, CellResult] = {}
        try:
            lines = (self.path / CELLS).read_bytes().splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                cell = CellResult.model_validate_json(line)
            except ValidationError:
                continue
            latest[cell.key] = cell
        yield from latest.values()

    def _end_cut_line(self) -> None:
        """So that the next line does not continue one that a kill cut off."""
        with (self.path / CELLS).open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")  # at the end, wherever the position is

    def write_results(self, results: Results) -> None:
        """Write results.json by rename: it is complete or not there. What was there before is gone then."""
        write_text(self.path / RESULTS, results.model_dump_json(by_alias=True, indent=1) + "\n")
        for name in _PREVIOUS:
            (self.path / f"previous.{name}").unlink(missing_ok=True)


def read_results(path: Path) -> Results:
    """A results.json, or the one in a run folder. Raises UsageError when it is absent, damaged or foreign."""
    file = path / RESULTS if path.is_dir() else path
    try:
        return Results.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: no results of a finished run ({error.strerror})") from None
    except ValueError as error:  # not JSON, or not this schema
        first = _first_problem(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]
        raise UsageError(f"{file}: damaged, or not written by harness: {first}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{format_path(first['loc']) or 'its content'}: {first['msg']}"


def new_directory(root: Path, suite: str) -> Path:
    """A folder named after the suite and the time, e.g. runs/quickstart/20260131-235959."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = root / suite / stamp
    number = 1
    while path.exists():
        number += 1
        path = root / suite / f"{stamp}-{number}"
    return path


def unfinished_directory(root: Path, suite: str) -> Path | None:
    """The run of the suite that was worked on last, if it was interrupted and this process can continue it."""
    runs = sorted((file.stat().st_mtime_ns, file.parent) for file in (root / suite).glob(f"*/{CELLS}"))
    newest = RunDirectory(runs[-1][1]) if runs else None
    return None if newest is None or newest.finished or newest.busy else newest.path
