"""The folder of one run: cells appended as they finish, results written at the end, raw data beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from harness.errors import UsageError
from harness.results import CellResult, Results

CELLS = "cells.jsonl"
RESULTS = "results.json"


class RunDirectory:
    """A folder with cells.jsonl while the run goes on and results.json when it is done."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def finished(self) -> bool:
        return (self.path / RESULTS).exists()

    def start(self) -> None:
        """Make the folder and see that it can be written. Raises UsageError otherwise."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / CELLS).touch()
        except OSError as error:
            raise UsageError(f"{self.path}: can not be written: {error.strerror}; choose another --output") from None

    def clear(self) -> None:
        """Forget an earlier run; raw data is overwritten cell by cell."""
        for name in (CELLS, RESULTS):
            (self.path / name).unlink(missing_ok=True)

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

    def repair(self) -> None:
        """End a line that was cut off, so that the next one does not continue it."""
        path = self.path / CELLS
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")

    def write_results(self, results: Results) -> None:
        """Write results.json by rename: it is complete or not there."""
        partial = self.path / f".{RESULTS}.{os.getpid()}"
        partial.write_text(results.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.path / RESULTS)


def read_results(path: Path) -> Results:
    """A results.json, or the one in a run folder. Raises UsageError when it is absent, damaged or foreign."""
    file = path / RESULTS if path.is_dir() else path
    try:
        return Results.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{file}: no results of a finished run ({error.strerror})") from None
    except ValueError as error:  # not JSON, or not this schema
        first = str(error).splitlines()[0]
        raise UsageError(f"{file}: damaged, or not written by harness: {first}") from None


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
    """The newest run of the suite, if it was interrupted."""
    runs = sorted(path for path in (root / suite).glob("*") if (path / CELLS).exists())
    return runs[-1] if runs and not RunDirectory(runs[-1]).finished else None
