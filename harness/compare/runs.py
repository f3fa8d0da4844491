"""A finished run as a comparison needs it: its results, its raw data, and the suite that it measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.cache import IDS
from harness.errors import UsageError
from harness.host import Host
from harness.plan import Cell, make_plan
from harness.reading import read_resolved
from harness.results import CellResult, Results
from harness.rundir import read_results
from harness.suite import MetricEntry, Suite
from harness.table import Array, Table


@dataclass
class Run:
    """path: what the user named, a folder or a results.json."""

    path: Path
    results: Results
    host: Host

    @classmethod
    def read(cls, path: Path, host: Host) -> Run:
        """Raises UsageError when there are no results of a finished run."""
        return cls(path, read_results(path), host)

    @property
    def cells(self) -> Mapping[str, CellResult]:
        return {cell.key: cell for cell in self.results.cells}

    @cached_property
    def suite(self) -> Suite:
        """As it was read for the run. Raises SuiteError when it can not be read any more."""
        return read_resolved(self.results.suite, self.host)

    @cached_property
    def plan(self) -> Mapping[str, Cell]:
        """What the suite would measure now, by key."""
        return {cell.key: cell for cell in make_plan(self.suite).cells}

    def metric(self, cell: str, id_: str) -> MetricEntry | None:
        """The metric of a cell, None when the suite does not have it."""
        planned = self.plan.get(cell)
        return next((entry for entry in planned.metrics if entry.id == id_), None) if planned else None

    def rows(self, cell: CellResult, metric: str) -> Table | None:
        """A metric's rows, one per sample; None when they do not lie beside the results."""
        return self._table(cell, f"rows.{metric}")

    def ids(self, cell: CellResult) -> Array | None:
        """(N,) ids of the samples, None when they do not lie beside the results."""
        table = self._table(cell, "ids")
        return None if table is None else table.dense(IDS)

    def _table(self, cell: CellResult, name: str) -> Table | None:
        folder = self.path if self.path.is_dir() else self.path.parent
        if name not in cell.files or not (folder / cell.files[name]).is_file():
            return None
        try:
            return Table.load(folder / cell.files[name])
        except (OSError, ValueError) as error:
            raise UsageError(f"{folder / cell.files[name]}: {error}") from None
