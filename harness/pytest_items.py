"""What a suite is to pytest: a file of benchmarks and tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import pytest

from harness import gates
from harness.contracts import Subject
from harness.errors import HandledError
from harness.host import Host
from harness.plan import Cell, LatencySetting, Plan, make_plan
from harness.reading import read_suite
from harness.results import CellResult, GateResult
from harness.run import RunOptions, run_suite
from harness.suite import GateTable
from harness.timing.station import Opening, Station


class Failed(Exception):
    """A gate that did not pass, or a cell that can not be measured: the message says it all."""


class SuiteFile(pytest.File):
    """A suite: latency cells as benchmarks, gates as tests."""

    def collect(self) -> Iterable[pytest.Item]:
        try:
            plan = self.plan
        except HandledError as error:
            raise self.CollectError(str(error)) from None
        for cell in plan.cells:
            if cell.kind == "latency":
                yield LatencyItem.of(self, cell, self.prefix + cell.key)
        for gate in self.plan.suite.gates:
            yield GateItem.of(self, gate)

    @cached_property
    def host(self) -> Host:
        return Host.discover()

    @cached_property
    def plan(self) -> Plan:
        return make_plan(read_suite(self.path, self.host, self.config.getoption("harness_profile")))

    @property
    def prefix(self) -> str:
        """What the names of its benchmarks begin with: as the reporter writes them, wherever the file lies."""
        return f"{self.plan.suite.name}::"

    @cached_property
    def benchmarks(self) -> frozenset[str] | None:
        """Names of all latency cells, selected or not; None of a suite with mistakes, which could not be collected."""
        try:
            cells = self.plan.cells
        except HandledError:
            return None
        return frozenset(self.prefix + cell.key for cell in cells if cell.kind == "latency")

    @cached_property
    def judged(self) -> dict[str, GateResult]:
        """All gates, by expression; measures the cells that they ask for, latencies in turns, once."""
        globs = tuple(dict.fromkeys(gate.cell for gate in self.plan.suite.gates))
        chosen = [glob for glob in globs if any(fnmatchcase(cell.key, glob) for cell in self.plan.cells)]
        if not chosen:
            return {gates.expression(gate): gates.evaluate(gate, [], None) for gate in self.plan.suite.gates}
        reference = self.plan.suite.table.reference
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            options = RunOptions(output=Path(folder), only=[*chosen, *([reference] if reference else [])])
            results = run_suite(self.plan.suite, self.host, options, _Silent()).results
        return {gate.expression: gate for gate in results.gates}


class LatencyItem(pytest.Function):
    """A latency cell: pytest-benchmark times the session's own call.

    Sessions are open for one item at a time, because two runtimes in one process spoil each other's timing.
    """

    bench: _Bench

    @classmethod
    def of(cls, parent: SuiteFile, cell: Cell, fullname: str) -> Self:
        bench = _Bench(cell, fullname)

        def measure(benchmark: Any) -> None:
            bench.measure(benchmark)

        item: Self = cls.from_parent(parent, name=cell.key, callobj=measure)
        item.bench = bench
        return item

    def setup(self) -> None:
        self.bench.open()  # before the fixture is made: it complains when it is not used
        super().setup()

    def teardown(self) -> None:
        super().teardown()
        self.bench.station.close()

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self.path, 0, self.name  # a line there must be, or a skipped test is an error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *arguments: Any, **options: Any) -> Any:
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments, **options)


class GateItem(pytest.Item):
    """A gate: the cells it asks for are measured once for all gates of the suite."""

    gate: GateTable

    @classmethod
    def of(cls, parent: SuiteFile, gate: GateTable) -> Self:
        item: Self = cls.from_parent(parent, name=f"gate {gates.expression(gate)}")
        item.gate = gate
        return item

    def runtest(self) -> None:
        if not isinstance(self.parent, SuiteFile):
            raise TypeError(f"{self.parent} is no suite")
        result = self.parent.judged[gates.expression(self.gate)]
        if result.value is not None:
            self.user_properties.append(("value", result.value))
        if not result.passed:
            value = "" if result.value is None else f" (is {result.value:.6g})"
            raise Failed(f"{result.expression}{value}" + (f": {result.reason}" if result.reason else ""))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self.path, 0, self.name  # a line there must be, or a skipped test is an error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *arguments: Any, **options: Any) -> Any:
        if isinstance(excinfo.value, Failed | HandledError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments, **options)


@dataclass(slots=True)
class _Bench:
    """A cell between setup and teardown."""

    cell: Cell
    fullname: str
    station: Station = field(default_factory=Station)
    opening: Opening | None = None

    def open(self) -> None:
        answer = self.station.open(self.cell)
        if isinstance(answer, Opening):
            self.opening = answer
            return
        self.station.close()
        if answer.error is None:
            pytest.skip(str(answer.reason))
        raise Failed(answer.error.message + (f" ({answer.error.where})" if answer.error.where else ""))

    def measure(self, benchmark: Any) -> None:
        setting = self.cell.latency
        if setting is None or self.opening is None:
            raise ValueError(f"{self.cell.key} is no latency cell, or is not open")
        benchmark.group, benchmark.fullname = setting.name, self.fullname
        benchmark.extra_info.update(_identity(self.cell, setting, self.opening))
        benchmark(_call(setting, self.station.subject(self.cell.key)))


def _call(setting: LatencySetting, subject: Subject) -> Callable[[], None]:
    """What the scenario asks of the model once: an inference, or a session and its first inference."""
    if setting.spec.name != "cold-start":
        return subject.query

    def cold() -> None:
        with subject.opened() as first:
            first()

    return cold


def _identity(cell: Cell, setting: LatencySetting, opening: Opening) -> dict[str, Any]:
    from harness import __version__, identity

    return {"key": cell.key, "model": cell.model.id, "precision": cell.precision, "backend": cell.backend.id,
            "runs_on": opening.runs_on, "scenario": setting.spec.name, "batch": setting.batch,
            "threads": setting.threads, "model_sha256": identity.file_sha256(Path(opening.file.path)),
            "harness": __version__}


class _Silent:
    """A harness.run.Observer that says nothing: pytest speaks."""

    def started(self, plan: Plan, directory: Path, resumed: int) -> None:
        pass

    def progress(self, key: str, done: int, total: int) -> None:
        pass

    def finished(self, result: CellResult) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def tell(self, message: str) -> None:
        pass
