"""Why two runs can not be compared: other conventions, metrics, datasets, samples, scenarios or machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.compare.runs import Run
from harness.plan import Cell

MACHINE = ("cpu", "machine", "logical_cores", "affinity", "cpu_limit", "gpus")
"""What of the environment decides a latency."""


def differences(a: Run, b: Run, keys: Sequence[str], *, rerun: bool) -> Iterator[str]:
    """One sentence for each difference that makes numbers of these cells incomparable. rerun: latencies are not."""
    for key in keys:
        yield from _conventions(a, b, key)
        planned = a.plan.get(key), b.plan.get(key)
        if planned[0] is not None and planned[1] is not None:
            yield from _settings(key, planned[0], planned[1])
        yield from _samples(a, b, key)
    if not rerun and any(a.cells[key].kind == "latency" for key in keys):
        yield from _machines(a, b)


def _conventions(a: Run, b: Run, key: str) -> Iterator[str]:
    ours, theirs = a.cells[key].metrics, b.cells[key].metrics
    for name in ours.keys() & theirs.keys():
        if ours[name].convention != theirs[name].convention:
            yield f'{key}: {name} has convention "{ours[name].convention}" in A and "{theirs[name].convention}" in B'


def _settings(key: str, ours: Cell, theirs: Cell) -> Iterator[str]:
    if ours.latency != theirs.latency:
        yield f"{key}: the scenario has other parameters"
    for metric in ours.metrics:
        for other in theirs.metrics:
            if metric.id == other.id and (metric.spec.name, metric.params) != (other.spec.name, other.params):
                yield f'{key}: the metric "{metric.id}" has other parameters'
    one, other_ = ours.dataset, theirs.dataset
    if one is not None and other_ is not None and (one.spec.name, one.params, one.transforms) != (
            other_.spec.name, other_.params, other_.transforms):
        yield f'{key}: the dataset "{one.id}" has other parameters'


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
