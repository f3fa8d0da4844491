"""From a suite to the cells it measures, and from cells to the groups that executors run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path

from harness.errors import EXIT_USAGE, Problem, SuiteError, UsageError, one_of
from harness.host import create
from harness.params import Params
from harness.results import Kind
from harness.specs import ScenarioSpec
from harness.suite import (
    BackendEntry,
    Bench,
    DatasetEntry,
    GateTable,
    LatencyRequest,
    MetricEntry,
    ModelEntry,
    SaliencyEntry,
    Suite,
)


@dataclass(frozen=True, slots=True)
class FeedSpec:
    """One input of a graph that is fed as it is. file: a .npy with its values; without it they are made up."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LatencySetting:
    """One latency measurement of a model on a backend.

    feeds: of a graph that nothing is known of but its inputs; None: an image as the model's card says.
    """

    spec: ScenarioSpec
    params: Params
    batch: int
    threads: int
    feeds: tuple[FeedSpec, ...] | None = None

    @property
    def name(self) -> str:
        return f"{self.spec.name}-b{self.batch}-t{self.threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is measured together: one result.

    samples: of the dataset, None when it could not be opened; batch_size: None when the model's input decides.
    """

    kind: Kind
    model: ModelEntry
    precision: str
    backend: BackendEntry
    seed: int
    dataset: DatasetEntry | None = None
    metrics: tuple[MetricEntry, ...] = ()
    saliency: SaliencyEntry | None = None
    target: str | None = None
    latency: LatencySetting | None = None
    batch_size: int | None = None
    samples: int | None = None

    @property
    def key(self) -> str:
        """Readable and stable: survives retraining, names the cell in gates, baselines and history."""
        parts = [self.kind, self.model.id, self.precision, self.backend.id]
        if self.dataset is not None:
            parts.insert(1, self.dataset.id)
        if self.saliency is not None:
            # The default target adds nothing, so that keys of most suites stay short.
            parts.append(self.saliency.id + ("@predicted" if self.target == "predicted" else ""))
        if self.latency is not None:
            parts.append(self.latency.name)
        return "/".join(parts)

    @property
    def forward_passes(self) -> float | None:
        """An estimate for one execution without cache; None when it can not be known."""
        if self.kind == "latency" or self.samples is None:
            return None
        each = sum(metric.passes for metric in self.metrics)
        if self.saliency is not None:
            if self.saliency.passes is None:
                return None
            each += self.saliency.passes * (1 + sum(metric.maps for metric in self.metrics))
        return self.samples * (1 + each)


@dataclass(frozen=True, slots=True)
class Plan:
    """All cells of a run, in order, and how they are grouped."""

    suite: Suite
    cells: tuple[Cell, ...]
    groups: tuple[tuple[Cell, ...], ...]

    def select(self, globs: Sequence[str]) -> Plan:
        """The plan with only the cells whose key matches one of the globs, without gates on others alone.

        Raises UsageError when no cell matches.
        """
        if not globs:
            return self
        chosen = [tuple(cell for cell in group if matches(cell.key, globs)) for group in self.groups]
        groups = tuple(group for group in chosen if group)
        if not groups:
            raise UsageError(f"--only {' '.join(globs)}: matches no cell; the cells are: "
                             f"{one_of(cell.key for cell in self.cells)}")
        cells = tuple(cell for group in groups for cell in group)
        kept, left_out = [cell.key for cell in cells], [cell.key for cell in self.cells if not matches(cell.key, globs)]
        gates = tuple(gate for gate in self.suite.gates
                      if _touches(gate, kept) or not _touches(gate, left_out))  # one that matches nothing still fails
        return Plan(replace(self.suite, gates=gates), cells, groups)


def _touches(gate: GateTable, keys: Iterable[str]) -> bool:
    return any(fnmatchcase(key, gate.cell) for key in keys)


def matches(key: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(key, glob) for glob in globs)


def make_plan(suite: Suite) -> Plan:
    """Expand the matrices of a suite.

    Raises SuiteError when tables contradict each other or an include or exclude matches nothing.
    """
    problems: list[Problem] = []
    groups: list[list[Cell]] = []
    seen: dict[str, Cell] = {}
    for bench in suite.benches:
        for group in _bench_groups(bench, suite, problems):
            fresh = []
            for cell in group:
                if cell.key in seen:
                    _merge(seen, cell, bench, suite, problems)
                else:
                    seen[cell.key] = cell
                    fresh.append(cell)
            if fresh:
                groups.append(fresh)
    _check_reference(suite, seen, problems)
    if problems:
        raise SuiteError(problems)
    final = tuple(tuple(seen[cell.key] for cell in group) for group in groups)
    return Plan(suite, tuple(cell for group in final for cell in group), final)


def count_samples(plan: Plan) -> Plan:
    """The plan with the number of samples of each dataset, as far as they can be opened."""
    entries = {cell.dataset.id: cell.dataset for cell in plan.cells if cell.dataset is not None}
    lengths: Mapping[str, int | None] = {name: _length(entry) for name, entry in entries.items()}
    groups = tuple(
        tuple(cell if cell.dataset is None else replace(cell, samples=lengths[cell.dataset.id]) for cell in group)
        for group in plan.groups
    )
    return Plan(plan.suite, tuple(cell for group in groups for cell in group), groups)


def _length(entry: DatasetEntry) -> int | None:
    try:
        return len(create(entry.spec, entry.params))
    except Exception:  # noqa: BLE001  the run will say why; a plan can be shown without
        return None


def _bench_groups(bench: Bench, suite: Suite, problems: list[Problem]) -> Iterator[list[Cell]]:
    cells = list(_quality_cells(bench, suite.table.seed))
    timings = list(_latency_cells(bench, suite.table.seed))
    keys = [cell.key for cell in (*cells, *timings)]
    for name in ("include", "exclude"):
        for index, glob in enumerate(getattr(bench, name)):
            if not any(fnmatchcase(key, glob) for key in keys):
                problems.append(_problem(suite, (*bench.where, name, index),
                                         f'"{glob}" matches none of its cells: {one_of(keys)}'))

    yield from ([cell] for cell in cells if _wanted(bench, cell))
    together = [cell for cell in timings if _wanted(bench, cell)]
    if together:
        yield together


def kept_cells(bench: Bench, seed: int = 0) -> list[Cell]:
    """The cells of a matrix that its include and exclude leave."""
    cells = [*_quality_cells(bench, seed), *_latency_cells(bench, seed)]
    return [cell for cell in cells if _wanted(bench, cell)]


def _wanted(bench: Bench, cell: Cell) -> bool:
    return (not bench.include or matches(cell.key, bench.include)) and not matches(cell.key, bench.exclude)


def _quality_cells(bench: Bench, seed: int) -> Iterator[Cell]:
    generators = bench.saliency or (None,)
    for dataset, model, precision, backend, saliency in product(bench.datasets, bench.models, bench.precisions,
                                                                bench.backends, generators):
        yield Cell(kind="explain" if saliency else "accuracy", model=model, precision=precision, backend=backend,
                   seed=seed, dataset=dataset, metrics=bench.metrics, saliency=saliency, target=bench.target,
                   batch_size=bench.batch_size)


def _latency_cells(bench: Bench, seed: int) -> Iterator[Cell]:
    for model, precision, backend, request in product(bench.models, bench.precisions, bench.backends, bench.latency):
        for setting in _settings(request):
            yield Cell(kind="latency", model=model, precision=precision, backend=backend, seed=seed, latency=setting)


def _settings(request: LatencyRequest) -> Iterator[LatencySetting]:
    for batch, threads in product(request.batch, request.threads):
        yield LatencySetting(request.spec, request.params, batch, threads)


def _merge(seen: dict[str, Cell], cell: Cell, bench: Bench, suite: Suite, problems: list[Problem]) -> None:
    """A key that two tables ask for: the metrics are united; anything else that differs is a contradiction."""
    known = seen[cell.key]
    added = tuple(metric for metric in cell.metrics if metric.id not in {each.id for each in known.metrics})
    if replace(cell, metrics=()) != replace(known, metrics=()):
        problems.append(_problem(suite, bench.where,
                                 f'asks for "{cell.key}" with other settings than an earlier table'))
    seen[cell.key] = replace(known, metrics=known.metrics + added)


def _check_reference(suite: Suite, cells: Mapping[str, Cell], problems: list[Problem]) -> None:
    """One latency cell, or with wildcards one of each model."""
    reference = suite.table.reference
    if reference is None:
        return
    timed = {key: cell.model.id for key, cell in cells.items() if cell.kind == "latency"}
    found = [key for key in timed if fnmatchcase(key, reference)]
    if not found:
        problems.append(_problem(suite, ("suite", "reference"),
                                 f'"{reference}" is not a latency cell of this suite (they are: {one_of(timed)})'))
    elif len({timed[key] for key in found}) < len(found):
        problems.append(_problem(suite, ("suite", "reference"),
                                 f'"{reference}" is more than one cell of a model: {one_of(found)}'))


def _problem(suite: Suite, path: tuple[str | int, ...], message: str) -> Problem:
    return Problem(suite.path, suite.line(path), path, message, EXIT_USAGE)
