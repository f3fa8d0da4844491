"""Outputs with one row per detection instead of one per sample: joined over pieces of a batch, split by sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.table import Array, Column, Ragged
from harness.tasks import IMAGE, Task


def join(task: Task, pieces: Sequence[Mapping[str, Array]], counts: Sequence[int]) -> dict[str, Array]:
    """The outputs of consecutive pieces of a batch as those of the whole; counts: samples of each piece."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    shifted = [{**piece, IMAGE: piece[IMAGE] + start} if IMAGE in _flat_names(task) else piece
               for piece, start in zip(pieces, starts, strict=True)]
    return {name: np.concatenate([piece[name] for piece in shifted]) for name in shifted[0]}


def first(task: Task, outputs: Mapping[str, Array], count: int) -> dict[str, Array]:
    """The outputs of the first samples alone."""
    flat = _flat_names(task)
    return {name: values[outputs[IMAGE] < count] if name in flat else values[:count]
            for name, values in outputs.items()}


def by_sample(task: Task, outputs: Mapping[str, Array], count: int) -> dict[str, Column]:
    """Columns with one entry for each of `count` samples; `image` is then implied and left out."""
    flat = _flat_names(task)
    owners = outputs.get(IMAGE)
    if owners is None:
        return dict(outputs)
    return {name: Ragged.grouped(values, owners, count) if name in flat else values
            for name, values in outputs.items() if name != IMAGE or name not in flat}


def problems(task: Task, outputs: Mapping[str, Array], count: int) -> Iterator[tuple[str, str]]:
    """(output, what is wrong) of flat outputs whose rows do not belong together or to a sample of the batch."""
    flat = [name for name in outputs if name in _flat_names(task)]
    if not flat:
        return
    owners = outputs[IMAGE]
    if not np.issubdtype(owners.dtype, np.integer):
        yield IMAGE, f"is {owners.dtype.name}, sample indices must be integers"
    elif owners.size and not 0 <= owners.min() <= owners.max() < count:
        yield IMAGE, f"names the samples {owners.min()} to {owners.max()} of a batch of {count}"
    for name in flat:
        if len(outputs[name]) != len(owners):
            yield name, f"has {len(outputs[name])} rows, image has {len(owners)}"


def difference(actual: Column, expected: Column) -> float:
    """Largest absolute difference; infinite where shapes or numbers of detections differ, 0 between empty ones."""
    if isinstance(actual, Ragged) and isinstance(expected, Ragged):
        if not np.array_equal(actual.offsets, expected.offsets):
            return float("inf")
        actual, expected = actual.values, expected.values
    if isinstance(actual, Ragged) or isinstance(expected, Ragged) or actual.shape != expected.shape:
        return float("inf")
    return float(np.abs(actual.astype(np.float64) - expected).max(initial=0.0))


def _flat_names(task: Task) -> set[str]:
    return {output.name for output in task.outputs if output.flat}
