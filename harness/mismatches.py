"""Whether the models, datasets, metrics, precisions and backends of a matrix fit together."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import one_of
from harness.locate import KeyPath
from harness.plan import kept_cells
from harness.suite import Bench, MatrixTable, MetricEntry


def mismatches(bench: Bench, table: MatrixTable) -> Iterator[tuple[KeyPath, str]]:
    """(key path, message) of everything that does not fit, at the list that names it."""
    tasks = {dataset.spec.task for dataset in bench.datasets}
    if len(tasks) > 1:
        names = ", ".join(f"{each.id} ({each.spec.task})" for each in bench.datasets)
        yield (*bench.where, "datasets"), f"mix tasks: {names}; use one [[{bench.where[0]}]] per task"
        return
    for task in tasks:
        for model in bench.models:
            if model.task not in (None, task):
                yield ((*bench.where, "models", table.models.index(model.id)),
                       f'"{model.id}" is a {model.task} model, the datasets are for {task}')
        for metric in bench.metrics:
            if problem := _metric_problem(metric, task, bench):
                yield (*bench.where, "metrics", table.metrics.index(metric.id)), problem
    yield from _precisions(bench, table)


def _precisions(bench: Bench, table: MatrixTable) -> Iterator[tuple[KeyPath, str]]:
    """Files that a backend can not run, unless the matrix leaves those cells out."""
    wanted = {(cell.precision, cell.backend.id): cell.backend for cell in kept_cells(bench)}
    for (precision, id_), backend in wanted.items():
        if precision not in backend.spec.precisions:
            known = one_of(backend.spec.precisions)
            message = f'"{id_}" does not run {precision} (it runs {known}); exclude "*/{precision}/{id_}*"'
            yield (*bench.where, "backends", table.backends.index(id_)), message


def _metric_problem(metric: MetricEntry, task: str, bench: Bench) -> str | None:
    spec = metric.spec
    if task not in spec.tasks:
        return f'"{metric.id}" is for {one_of(spec.tasks)}, the datasets are for {task}'
    if "saliency" in metric.requires and bench.where[0] != "explain":
        return f'"{metric.id}" judges saliency maps: it belongs into [[explain]]'
    needed = metric.requires & {"boxes", "mask"}
    for dataset in bench.datasets:
        if needed and not needed & dataset.provides:
            return f'"{metric.id}" needs {one_of(needed)}, dataset "{dataset.id}" has {one_of(dataset.provides)}'
    for saliency in bench.saliency:
        if "explain" in metric.requires and saliency.spec.stored:
            return (f'"{metric.id}" asks for maps of changed inputs or models, "{saliency.id}" has those of the '
                    "samples alone: leave one of them out")
        cost = metric.maps * (saliency.passes or 0)
        if cost > metric.budget:
            return (f'"{metric.id}" makes {metric.maps} further maps for each sample, with "{saliency.id}" about '
                    f"{cost:,.0f} forward passes, and its budget is {metric.budget:,.0f}: raise the budget, or leave "
                    "one of them out")
    return None
