"""From one value per sample to a number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Scalar, Table

INVALID = "invalid"
"""The column that says which samples have no usable map; their values are the metric's worst."""


def mean(rows: Table, column: str = "value", *, higher_is_better: bool, convention: str, unit: str = "fraction",
         proportion: bool = False) -> Scalar:
    """The mean over all samples, the invalid ones with their worst values; None without samples."""
    values = rows.dense(column) if rows.rows else np.zeros(0)
    return Scalar(value=float(values.mean()) if rows.rows else None, n=rows.rows, n_invalid=invalid(rows),
                  higher_is_better=higher_is_better, convention=convention, unit=unit, proportion=proportion)


def invalid(rows: Table) -> int:
    """Samples that were scored with the worst value."""
    return int(np.count_nonzero(rows.dense(INVALID))) if rows.rows else 0


def mean_curve(rows: Table, column: str) -> NDArray[np.float64]:
    """(K,) mean over the samples with a usable map; empty when there is none."""
    curves = rows.dense(column)[~rows.dense(INVALID)] if rows.rows else np.zeros((0, 0))
    return np.asarray(curves.mean(axis=0), np.float64) if len(curves) else np.zeros(0)
