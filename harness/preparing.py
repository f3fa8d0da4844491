"""Preparing a whole split for training: in worker processes where it takes long, and only once.

The result is the same whichever way it is made.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import identity, prepared_cache
from harness.cache import default_folder
from harness.card import InputSpec
from harness.contracts import Dataset
from harness.host import blame, create
from harness.params import Params
from harness.prepared import Prepared
from harness.specs import DatasetSpec
from harness.suite import DatasetEntry
from harness.tasks import TASKS

_PART = 64
"""Samples that a worker prepares at a time."""
_LONG_S = 4.0
"""Expected seconds from which worker processes and the cache are worth their while."""


def prepare_split(spec: DatasetSpec, params: Params, size: InputSpec, *, workers: int | None = None,
                  folder: Path | None = None) -> Prepared:
    """All samples of a dataset at a model's input size.

    workers: processes, by default one per core where it takes long; folder: of the cache, by default the user's.
    Raises DataError when a sample can not be read or none is there.
    """
    with blame(spec):
        dataset: Dataset = create(spec, params)
        key = identity.digest([identity.of_dataset(DatasetEntry("", spec, params), dataset, 0), size])
        place = (default_folder(os.environ) if folder is None else folder) / "prepared" / key[:2] / key
        known = prepared_cache.load(place, TASKS[spec.task].target, size)
        if known is not None:
            return known
        started = time.perf_counter()
        data = _prepare(spec, params, size, dataset, workers)
        if time.perf_counter() - started > _LONG_S:
            prepared_cache.store(place, data)
        return data


def _prepare(spec: DatasetSpec, params: Params, size: InputSpec, dataset: Dataset, workers: int | None) -> Prepared:
    """The first part tells how long the others will take."""
    parts = [range(start, min(start + _PART, len(dataset))) for start in range(0, len(dataset), _PART)]
    started = time.perf_counter()
    done = [Prepared.load(dataset, size, part) for part in parts[:1]]
    expected = (time.perf_counter() - started) * (len(parts) - 1)
    if workers is None:
        workers = (os.cpu_count() or 1) if expected > _LONG_S else 1
    if workers > 1 and len(parts) > 2:
        done += _in_processes(spec, params, size, parts[1:], workers)
    else:
        done += [Prepared.load(dataset, size, part) for part in parts[1:]]
    return Prepared.concat(done) if done else Prepared.load(dataset, size)


def _in_processes(spec: DatasetSpec, params: Params, size: InputSpec, parts: Sequence[range],
                  workers: int) -> Iterator[Prepared]:
    from pebble import ProcessPool

    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    pool: Any = ProcessPool(max_workers=min(workers, len(parts)), context=context, initializer=_ignore_interrupt)
    try:
        yield from [future.result() for future in [pool.schedule(_part, args=(spec, params, size, part))
                                                   for part in parts]]
        pool.close()
    finally:
        pool.stop()
        pool.join()


def _part(spec: DatasetSpec, params: Params, size: InputSpec, indices: Sequence[int]) -> Prepared:
    return Prepared.load(create(spec, params), size, indices)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches the whole process group; the parent stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
