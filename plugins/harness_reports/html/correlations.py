"""How alike metrics and generators judge: rank correlations over the samples that were scored one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from harness.api import CellResult, FinishedRun, rank_correlation
from harness_reports.html.scores import sample_scores
from harness_reports.html.text import label

_FEWEST = 5
"""Samples that a correlation needs to be shown."""
_DEPTH = 2
"""Results such as x and x.box are correlated, their parts (x.box.precision) not."""
Scores = dict[str, dict[str, float]]
"""Metric -> sample -> value, higher is better."""


def correlations(run: FinishedRun) -> list[dict[str, Any]]:
    """For each dataset with explain cells: {"name", "labels", "values"} of its metrics, and of its generators.

    Metrics are correlated over all pairs of generator and sample; generators over samples, by the mean over metrics of
    the correlation of their scores. None where nothing varies.
    """
    groups: dict[str, list[CellResult]] = {}
    for cell in run.results.cells:
        if cell.kind == "explain" and cell.status == "ok":
            groups.setdefault(str(cell.dataset), []).append(cell)
    found = []
    for dataset, cells in groups.items():
        scores = {label(cell, cells): each for cell in cells if (each := _scores(run, cell))}
        metrics = list(dict.fromkeys(metric for each in scores.values() for metric in each))
        found += _matrix(f"{dataset}: metrics", metrics, partial(_between_metrics, scores))
        found += _matrix(f"{dataset}: generators", list(scores), partial(_between_cells, scores))
    return found


def _scores(run: FinishedRun, cell: CellResult) -> Scores:
    found: Scores = {}
    for id_, scores in sample_scores(run, cell).items():
        for name, value in scores.items():
            if value is not None and len(re.split("[.@]", name)) <= _DEPTH:
                found.setdefault(name, {})[id_] = value if cell.metrics[name].higher_is_better else -value
    return found


def _matrix(name: str, labels: list[str], between: Callable[[str, str], float | None]) -> list[dict[str, Any]]:
    if len(labels) < 2:
        return []
    return [{"name": name, "labels": labels, "values": [[between(a, b) for a in labels] for b in labels]}]


def _between_metrics(scores: Mapping[str, Scores], one: str, two: str) -> float | None:
    pairs = [(each[one][id_], each[two][id_]) for each in scores.values() if one in each and two in each
             for id_ in each[one].keys() & each[two].keys()]
    return spearman(pairs)


def _between_cells(scores: Mapping[str, Scores], first: str, second: str) -> float | None:
    one, two = scores[first], scores[second]
    found = [spearman([(one[metric][id_], two[metric][id_]) for id_ in one[metric].keys() & two[metric].keys()])
             for metric in one.keys() & two.keys()]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def spearman(pairs: list[tuple[float, float]]) -> float | None:
    """Rank correlation, mean ranks for ties; None with too few pairs or where one side is constant."""
    if len(pairs) < _FEWEST:
        return None
    one, two = np.array(pairs, np.float64).T
    found = rank_correlation(one, two)
    return None if found is None else round(found, 3)
