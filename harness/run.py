"""Running a suite: plan, resume, execute, collect, judge."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Protocol

from harness import environment, gates, identity
from harness.cache import Cache, default_folder
from harness.compare import checks
from harness.compare.latency import Again
from harness.compare.runs import Run
from harness.contracts import Executor, Progress, RunContext
from harness.errors import EXIT_CELLS, EXIT_GATE, EXIT_OK, EXIT_PLUGIN, HandledError, PluginError
from harness.host import Host, create, default_params
from harness.plan import Plan, count_samples, make_plan, matches
from harness.ratios import with_ratio
from harness.results import CellResult, PluginResult, Results
from harness.rundir import RunDirectory, new_directory, unfinished_directory
from harness.specs import ExecutorSpec
from harness.suite import ExecutorEntry, Suite
from harness.worker import CellGroup, cell_ids

DEFAULT_EXECUTOR = "local"


class Observer(Protocol):
    """Who is told what happens: the terminal, or nobody."""

    def started(self, plan: Plan, directory: Path, resumed: int) -> None: ...

    def progress(self, key: str, done: int, total: int) -> None: ...

    def finished(self, result: CellResult) -> None: ...

    def warn(self, message: str) -> None: ...

    def tell(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line decides. output: the run's folder; root: where a folder is made by default."""

    output: Path | None = None
    root: Path = Path("runs")
    only: Sequence[str] = ()
    executor: str | None = None
    fresh: bool = False
    cache: Path = field(default_factory=lambda: default_folder(os.environ))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    results: Results
    directory: Path
    exit_code: int


def run_suite(suite: Suite, host: Host, options: RunOptions, observer: Observer) -> Outcome:
    """Measure every cell of a suite that is not yet in its run directory, and write results.json.

    Raises HandledError before anything is measured (invalid plan, unwritable folder, missing baseline or executor);
    after that a cell that can not be measured is a failed result. KeyboardInterrupt passes through: the cells that
    are done stay in the folder, and the same call continues.
    """
    plan = count_samples(make_plan(suite).select(options.only))
    for gate in suite.gates:
        if gate not in plan.suite.gates:
            observer.warn(f"not judged, its cells are left out by --only: gate {gates.expression(gate)}")
    baseline = _baseline(suite, host)
    executor = _executor(suite, host, options.executor)
    directory = _directory(suite, options)
    with directory.started(fresh=options.fresh):
        results = _measure(plan, host, executor, directory, Cache(options.cache, enabled=not options.fresh), observer,
                           baseline)
    return Outcome(results, directory.path, exit_code(results))


def _measure(plan: Plan, host: Host, executor: _SafeExecutor, directory: RunDirectory, cache: Cache, observer: Observer,
             baseline: Run | None) -> Results:
    suite = plan.suite
    _make_files(plan, observer)
    ids = cell_ids(plan.cells)
    done = {cell.key: cell for cell in directory.cells() if cell.status == "ok" and ids.get(cell.key) == cell.id}
    groups = _groups(plan, ids, done, directory.path, cache)
    observer.started(plan, directory.path, len(ids) - sum(len(group.keys) for group in groups))
    context = RunContext(directory.path, suite.resolved, tuple(ids),
                         datasets={id_: entry.params for id_, entry in suite.datasets.items()})
    _notify(host, "harness_run_started", context, observer)
    with closing(executor.run(groups, observer.progress)) as finished:  # workers end with an interrupted run
        for result in finished:
            directory.append(result)
            done[result.key] = result
            observer.finished(result)
            _notify(host, "harness_cell_finished", replace(context, result=result), observer)
    results = _results(suite, host, [done[cell.key] for cell in plan.cells])
    run = Run(directory.path, results, host)
    known = baseline.cells if baseline else {}
    again = _measured_again(run, suite, known, observer)
    check = partial(checks.problem, baseline, run) if baseline else None
    judged = [gates.evaluate(gate, results.cells, known, again, check) for gate in suite.gates]
    results = results.model_copy(update={"gates": judged})
    directory.write_results(results)
    _notify(host, "harness_run_finished", replace(context, results=results), observer)
    return results


def _make_files(plan: Plan, observer: Observer) -> None:
    """Files of other precisions, before the first cell: what they take is no cell's time."""
    wanted = {(cell.model.id, cell.precision): cell.model for cell in plan.cells if cell.precision != "fp32"}
    for (_, precision), model in wanted.items():
        with suppress(HandledError):  # a result of every cell that needs it
            identity.locate_model(model, precision, observer.tell)


def exit_code(results: Results) -> int:
    """0 ok, 1 a gate failed, 3 some cells failed or nothing was measured, 4 a plugin failed; 4 before 3 before 1."""
    failed = [cell.error for cell in results.cells if cell.error is not None]
    if any(error.type == PluginError.__name__ for error in failed):
        return EXIT_PLUGIN
    if failed or not any(cell.status == "ok" for cell in results.cells):
        return EXIT_CELLS
    return EXIT_OK if all(gate.passed for gate in results.gates) else EXIT_GATE


def _baseline(suite: Suite, host: Host) -> Run | None:
    return None if suite.table.baseline is None else Run.read(suite.table.baseline, host)


def _executor(suite: Suite, host: Host, name: str | None) -> _SafeExecutor:
    entry = suite.executor
    if entry is None or (name is not None and name != entry.spec.name):
        spec = host.chosen(ExecutorSpec, name or DEFAULT_EXECUTOR, "--executor")
        entry = ExecutorEntry(spec.name, spec, default_params(spec))
    return _SafeExecutor(entry.spec, create(entry.spec, entry.params))


@dataclass(frozen=True, slots=True)
class _SafeExecutor:
    """An executor of which neither an omission nor an exception costs a result."""

    spec: ExecutorSpec
    executor: Executor

    def run(self, groups: Sequence[CellGroup], progress: Progress) -> Generator[CellResult]:
        """The results as they come; what is never answered for is a failed result, not a missing one."""
        missing = {key for group in groups for key in group.keys}
        who = f'executor "{self.spec.name}" of plugin {self.spec.provider}'
        why = f"{who} gave no result for this cell"
        try:
            for results in self.executor.run(groups, progress):
                for result in results:
                    missing.discard(result.key)
                    yield result
        except HandledError as error:
            why = f"{who}: {error}"
        except Exception as error:  # noqa: BLE001  a plugin's
            why = f"{who} failed: {type(error).__name__}: {error}"
        for group in groups:
            yield from (result for result in group.failed("PluginError", why) if result.key in missing)


def _directory(suite: Suite, options: RunOptions) -> RunDirectory:
    if options.output is not None:
        return RunDirectory(options.output)
    unfinished = None if options.fresh else unfinished_directory(options.root, suite.name)
    return RunDirectory(unfinished or new_directory(options.root, suite.name))


def _groups(plan: Plan, ids: Mapping[str, str], done: Mapping[str, CellResult], directory: Path,
            cache: Cache) -> list[CellGroup]:
    groups = []
    for cells in plan.groups:
        # Latency cells are measured against each other: either all of a group are known, or none counts.
        open_cells = cells if cells[0].kind == "latency" else tuple(cell for cell in cells if cell.key not in done)
        if any(cell.key not in done for cell in open_cells):
            groups.append(CellGroup(open_cells, tuple(ids[cell.key] for cell in open_cells), directory, cache))
    return groups


def _measured_again(run: Run, suite: Suite, baseline: Mapping[str, CellResult], observer: Observer) -> Again | None:
    """The latencies that gates compare with the baseline's, measured beside them; None when no gate asks for it."""
    globs = [gate.cell for gate in suite.gates if gates.remeasures(gate)]
    keys = [cell.key for cell in run.results.cells if cell.latency is not None and matches(cell.key, globs)]
    known = [key for key in keys if key in baseline and baseline[key].status == "ok"]
    if not globs or suite.table.baseline is None:
        return None
    if set(known) != set(keys):
        missing = next(key for key in keys if key not in known)
        return Again(problem=f'the baseline has no ok cell "{missing}"')
    return Again.of(suite.table.baseline, run, keys, observer.progress)


def _results(suite: Suite, host: Host, cells: Sequence[CellResult]) -> Results:
    compared = _with_ratios(cells, suite.table.reference)
    return Results(
        suite={"path": str(suite.path.resolve()), **suite.resolved}, environment=environment.describe(),
        plugins=[PluginResult(name=record.name, distribution=record.provider.distribution,
                              version=record.provider.version)
                 for record in host.plugins if record.status != "disabled"],
        cells=compared)


def _with_ratios(cells: Sequence[CellResult], reference: str | None) -> list[CellResult]:
    """Every latency relative to the reference cell's; nothing when that was not measured.

    A reference with wildcards is one cell of each model, and a latency is relative to that of its own model.
    """
    found = [cell for cell in cells if reference is not None and fnmatchcase(cell.key, reference) and cell.latency]
    own = {cell.model: cell.latency for cell in reversed(found)}
    single = found[0].latency if found and found[0].key == reference else None

    def compared(cell: CellResult) -> CellResult:
        base = single or own.get(cell.model)
        if base is None or cell.latency is None:
            return cell
        return cell.model_copy(update={"latency": with_ratio(cell.latency, base)})

    return [compared(cell) for cell in cells]


def _notify(host: Host, hook: str, context: RunContext, observer: Observer) -> None:
    for message in host.notify(hook, context):
        observer.warn(message)
