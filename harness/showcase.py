"""Which samples of a cell people get to see, and how each of them scored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.contracts import Metric, Scalar
from harness.datasets import evenly_spaced
from harness.host import blame, create
from harness.results import finite
from harness.suite import MetricEntry
from harness.table import Table

CANDIDATES = 64
"""Samples that are scored one by one, evenly spaced."""
SHOWN = 24
"""Samples that are shown, at most."""
_WORST = 8
"""Of the samples that are shown: so many of the worst candidates by the first metric, the others evenly spaced."""

_FAR = 8

Scores = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Showcase:
    """rows: of the samples that are shown, ascending; scores: of the candidates, by row."""

    rows: tuple[int, ...]
    scores: Mapping[int, Scores]


def choose(metrics: Sequence[MetricEntry], tables: Mapping[str, Table], total: int) -> Showcase:
    """Score some samples and choose those to show.

    tables: each metric's rows, by metric id; total: rows of each. A sample's score is what the metric says of that row
    alone, None where that is not finite; parts that tables leave out (`detail`) are left out here, too.
    """
    candidates = evenly_spaced(total, CANDIDATES)
    scores: dict[int, dict[str, float | None]] = {row: {} for row in candidates}
    order: list[tuple[float, int]] = []
    for index, entry in enumerate(metrics):
        metric: Metric = create(entry.spec, entry.params)
        for row in candidates:
            with blame(entry.spec):
                found = metric.summarize(tables[entry.id].take(np.array([row]))).scalars
            scores[row].update({entry.id + suffix: finite(scalar.value) for suffix, scalar in found.items()
                                if not scalar.detail})
            if index == 0:
                order.append((_badness(next(iter(found.values()), None)), row))
    worst = [row for badness, row in sorted(order, key=lambda each: (-each[0], each[1])) if badness > -math.inf]
    shown = {*worst[:_WORST]}
    shown.update(candidates[index] for index in evenly_spaced(len(candidates), SHOWN - len(shown)))
    return Showcase(tuple(sorted(shown)), scores)


def indices_of(rows: Sequence[int], unreadable: int, total: int) -> list[int]:
    """Indices in a dataset of `total` samples among which the rows' samples are: each unreadable one may lie before.

    With more than _FAR unreadable samples the search ends there, and some rows may not be found.
    """
    reach = min(unreadable, _FAR)
    return sorted({index for row in rows for index in range(row, min(row + reach + 1, total))})


def _badness(scalar: Scalar | None) -> float:
    value = finite(scalar.value) if scalar is not None else None
    if scalar is None or value is None:
        return -math.inf
    return -value if scalar.higher_is_better else value
