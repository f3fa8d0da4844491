"""Metrics and latencies over the runs in a folder, and where they changed: data for reports.

Change points are found split by split: the position with the largest standardized statistic of Mann and Whitney
(Hawkins & Deng 2010), kept when fewer than 1 in 100 random orders of the same values separate as well; then both sides
are searched. Ranks do not mind outliers, and nothing is assumed of the distribution. Ten runs are the least that can
show a change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.compare.checks import MACHINE
from harness.errors import UsageError
from harness.results import CellResult, Number, Record, Results
from harness.rundir import RESULTS, read_results
from harness.stats import stable_seed
from harness.suite import BenchTable, LatencyTable
from harness.validation import split

Floats = NDArray[np.float64]
LEVEL = 0.01
_PERMUTATIONS = 999
_LEAST = 3
"""Runs on each side of a change: fewer are outliers."""
_LATENCY = {"p50_ms": ("ms", False), "p99_ms": ("ms", False), "throughput": ("samples/s", True), "ratio": ("", False)}


class Point(Record):
    """One run's value."""

    run: str
    """Folder of the run, relative to the one that was searched."""
    finished: str | None
    """When, in UTC."""
    commit: str | None
    """What was checked out; "+" marks changed files."""
    value: Number
    ci: tuple[float, float] | None = None


class Change(Record):
    """Where the level of a series changed."""

    index: int
    """Of the first point after the change."""
    before: float
    """Median since the change before, or since the first point."""
    after: float
    """Median up to the next change, or to the last point."""
    p: float
    """Share of random orders of the values that separate as well."""
    worse: bool
    """Whether `after` is the worse level."""


class Series(Record):
    """One number over the runs, oldest first.

    What is never compared is not one series: metrics of other conventions, latencies of other machines or of a scenario
    with other parameters.
    """

    cell: str
    """Key of the cell."""
    metric: str
    """Result name or latency field."""
    unit: str
    higher_is_better: bool
    machine: str | None = None
    """Of latencies: where they were measured."""
    convention: str = ""
    """Of metrics: which of the published definitions."""
    scenario: str = ""
    """Of latencies: what the suite sets of the scenario, as JSON."""
    points: list[Point]
    changes: list[Change]


class History(Record):
    """All series of a folder. unreadable: runs that could not be read, and why."""

    series: list[Series]
    unreadable: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Value:
    metric: str
    unit: str
    higher_is_better: bool
    machine: str | None
    convention: str
    scenario: str
    value: float
    ci: tuple[float, float] | None

    @property
    def series(self) -> tuple[str | None, ...]:
        return self.metric, self.machine, self.convention, self.scenario


def read_history(folder: Path) -> History:
    """The finished runs in a folder and below it. Raises UsageError when it holds none."""
    runs, unreadable = read_runs(folder)
    return History(series=series_of(runs), unreadable=unreadable)


def read_runs(folder: Path) -> tuple[list[tuple[str, Results]], dict[str, str]]:
    """(folder below, results) of finished runs, oldest first; why others can not be read, by folder.

    Raises UsageError when the folder holds none.
    """
    runs: list[tuple[str, Results]] = []
    unreadable: dict[str, str] = {}
    for file in sorted(folder.rglob(RESULTS)):
        name = file.parent.relative_to(folder).as_posix()
        try:
            runs.append((name, read_results(file)))
        except UsageError as error:
            unreadable[name] = str(error)
    if not runs:
        raise UsageError(f"{folder}: no results of finished runs")
    runs.sort(key=lambda run: (str(run[1].environment.get("finished") or ""), run[0]))
    return runs, unreadable


def series_of(runs: Sequence[tuple[str, Results]]) -> list[Series]:
    """Every number over some runs, given oldest first."""
    return list(_series(runs))


def change_points(values: Sequence[float], *, seed: int = 0) -> list[tuple[int, float]]:
    """(index of the first value after the change, p) of each change, in order."""
    return sorted(_split(np.asarray(values, np.float64), 0, np.random.default_rng(seed)))


def _series(runs: Sequence[tuple[str, Results]]) -> Iterator[Series]:
    found: dict[tuple[str | None, ...], list[tuple[Point, _Value]]] = {}
    for name, results in runs:
        for cell in results.cells:
            for value in _values(cell, results):
                point = Point(run=name, finished=results.environment.get("finished"),
                              commit=results.environment.get("commit"), value=value.value, ci=value.ci)
                found.setdefault((cell.key, *value.series), []).append((point, value))
    for (key, *_), entries in found.items():
        last = entries[-1][1]
        points = [point for point, _ in entries]
        yield Series(cell=str(key), metric=last.metric, unit=last.unit, higher_is_better=last.higher_is_better,
                     machine=last.machine, convention=last.convention, scenario=last.scenario, points=points,
                     changes=_changes(str(key), last.metric, last.higher_is_better, points))


def _values(cell: CellResult, results: Results) -> Iterator[_Value]:
    if cell.status != "ok":
        return
    for name, metric in cell.metrics.items():
        if metric.value is not None and not metric.detail:
            yield _Value(name, metric.unit, metric.higher_is_better, None, metric.convention, "", metric.value,
                         metric.ci)
    for name, (unit, higher) in _LATENCY.items() if cell.latency is not None else ():
        value = getattr(cell.latency, name)
        if value is not None:
            interval = {"p50_ms": "ci", "throughput": "throughput_ci", "ratio": "ratio_ci"}.get(name)
            yield _Value(name, unit, higher, _machine(results.environment), "", _scenario(results.suite, cell), value,
                         getattr(cell.latency, interval) if interval else None)


def _machine(environment: Mapping[str, Any]) -> str:
    known = {name: environment.get(name) for name in MACHINE}
    return ", ".join(str(value) for value in known.values() if value not in (None, []))


def _scenario(suite: Mapping[str, Any], cell: CellResult) -> str:
    """The scenario's own keys in the suite of a run, as JSON; a suite has them once for each cell."""
    latency = cell.latency
    for data in suite.get("bench", ()):
        try:
            bench = BenchTable.model_validate(data)
            requests = [(LatencyTable.model_validate(own), rest)
                        for own, rest in (split(each, LatencyTable) for each in bench.latency)]
        except ValidationError:  # of a later version
            continue
        if latency is None or not (cell.model in bench.models and cell.precision in bench.precisions
                                   and cell.backend in bench.backends):
            continue
        for asked, own in requests:
            if asked.scenario == latency.scenario and latency.batch in asked.batch and latency.threads in asked.threads:
                return json.dumps(own, sort_keys=True, default=str) if own else ""
    return ""


def _changes(key: str, metric: str, higher_is_better: bool, points: Sequence[Point]) -> list[Change]:
    values = [float(point.value) for point in points if point.value is not None]
    found = change_points(values, seed=stable_seed(key, metric))
    bounds = [0, *(index for index, _ in found), len(values)]
    levels = [float(np.median(values[start:end])) for start, end in pairwise(bounds)]
    return [Change(index=index, before=before, after=after, p=p, worse=(after < before) == higher_is_better)
            for (index, p), (before, after) in zip(found, pairwise(levels), strict=True)]


def _split(values: Floats, offset: int, rng: np.random.Generator) -> Iterator[tuple[int, float]]:
    from scipy.stats import rankdata

    if len(values) < 2 * _LEAST:
        return
    ranks = np.asarray(rankdata(values), np.float64)
    statistic = _separation(ranks[None])[0]
    best = int(np.argmax(statistic))
    shuffled = rng.permuted(np.tile(ranks, (_PERMUTATIONS, 1)), axis=1)
    as_good = int((_separation(shuffled).max(axis=1) >= statistic[best]).sum())
    p = (as_good + 1) / (_PERMUTATIONS + 1)
    if p >= LEVEL:
        return
    position = best + _LEAST
    yield offset + position, p
    yield from _split(values[:position], offset, rng)
    yield from _split(values[position:], offset + position, rng)


def _separation(ranks: Floats) -> Floats:
    """(R, n - 2 * _LEAST + 1): |z| of Mann and Whitney for each split of each row into two parts."""
    n = ranks.shape[1]
    first = np.arange(_LEAST, n - _LEAST + 1)
    sums = np.cumsum(ranks, axis=1)[:, first - 1]
    return np.asarray(np.abs(sums - first * (n + 1) / 2) / np.sqrt(first * (n - first) * (n + 1) / 12))
