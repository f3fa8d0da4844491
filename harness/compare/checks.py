"""Why two runs can not be compared: other conventions, metrics, datasets, samples, scenarios or machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.compare.runs import Run
from harness.errors import HandledError
from harness.plan import Cell
from harness.suite import Entry

MACHINE = ("cpu", "machine", "logical_cores", "affinity", "cpu_limit", "gpus")
"""What of the environment decides a latency."""
REFUSED = "can not be compared with the baseline (A): "


def differences(a: Run, b: Run, keys: Sequence[str], *, rerun: bool, metric: str | None = None) -> Iterator[str]:
    """One sentence for each difference that makes numbers of these cells incomparable.

    rerun: latencies are not compared as they were found; metric: the only result name that is asked for.
    """
    for key in keys:
        yield from _conventions(a, b, key, metric)
        planned = a.plan.get(key), b.plan.get(key)
        if planned[0] is not None and planned[1] is not None:
            yield from _latencies(key, planned[0], planned[1])
            yield from _metrics(a, b, key, metric)
            yield from _datasets(a, b, key)
        yield from _samples(a, b, key)
    if not rerun and any(a.cells[key].kind == "latency" for key in keys):
        yield from _machines(a, b)


def problem(a: Run, b: Run, key: str, metric: str) -> str | None:
    """Why a number of a cell can not be compared, None when it can. metric: its result name."""
    try:
        different = "; ".join(differences(a, b, [key], rerun=True, metric=metric))
    except HandledError as error:  # a suite that can not be read any more
        different = str(error)
    return REFUSED + different if different else None


def _conventions(a: Run, b: Run, key: str, metric: str | None) -> Iterator[str]:
    ours, theirs = a.cells[key].metrics, b.cells[key].metrics
    for name in ours.keys() & theirs.keys():
        if metric in (None, name) and ours[name].convention != theirs[name].convention:
            yield f'{key}: {name} has convention "{ours[name].convention}" in A and "{theirs[name].convention}" in B'


def _latencies(key: str, ours: Cell, theirs: Cell) -> Iterator[str]:
    if ours.latency != theirs.latency:
        yield f"{key}: the scenario has other parameters"


def _metrics(a: Run, b: Run, key: str, metric: str | None) -> Iterator[str]:
    others = {other.id: other for other in b.plan[key].metrics}
    asked = None if metric is None else max((id_ for id_ in others if metric.startswith(id_)), key=len, default=None)
    for one in a.plan[key].metrics:
        if one.id not in others or (metric is not None and one.id != asked):
            continue
        if _portable(a, one) != _portable(b, others[one.id]):
            yield f'{key}: the metric "{one.id}" has other parameters'


def _datasets(a: Run, b: Run, key: str) -> Iterator[str]:
    one, other = a.plan[key].dataset, b.plan[key].dataset
    if one is not None and other is not None and (*_portable(a, one), one.transforms) != (
            *_portable(b, other), other.transforms):
        yield f'{key}: the dataset "{one.id}" has other parameters'


def _portable(run: Run, entry: Entry[Any]) -> tuple[str, Any]:
    """A plugin's name and params; paths relative to the suite, because a baseline may come from another checkout."""
    return entry.spec.name, _relative(entry.params.model_dump(), run.suite.path.resolve().parent)


def _relative(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value.relative_to(folder) if value.is_relative_to(folder) else value
    if isinstance(value, Mapping):
        return {name: _relative(each, folder) for name, each in value.items()}
    return [_relative(each, folder) for each in value] if isinstance(value, list | tuple) else value


def _samples(a: Run, b: Run, key: str) -> Iterator[str]:
    ours, theirs = a.ids(a.cells[key]), b.ids(b.cells[key])
    if ours is not None and theirs is not None and not np.array_equal(ours, theirs):
        shared = len(np.intersect1d(ours, theirs))
        yield f"{key}: other samples ({len(ours)} in A, {len(theirs)} in B, {shared} in both)"


def _machines(a: Run, b: Run) -> Iterator[str]:
    ours, theirs = a.results.environment, b.results.environment
    different = [name for name in MACHINE if ours.get(name) != theirs.get(name)]
    if different:
        told = "; ".join(f"{name} {ours.get(name)} and {theirs.get(name)}" for name in different)
        yield f"latencies of different machines: {told}"
