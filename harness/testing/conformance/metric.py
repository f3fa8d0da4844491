"""Metrics: one row per sample, stateless, and numbers that can be written as JSON."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.contracts import Metric, Samples, Summary
from harness.specs import MetricSpec
from harness.table import Ragged, Table
from harness.testing.conformance.expect import expect, expect_close


def check_metric(spec: MetricSpec, metric: Metric, samples: Samples) -> None:
    """Deterministic, independent of batching, at home with repeated rows, savable, within its declared range.

    samples: at least three, representative ones; fields that the metric requires are filled.
    """
    count = len(samples.ids)
    expect(count >= 3, "give at least three samples")
    rows = metric.measure(samples)
    expect(rows.rows == count, f"{spec.name}: {rows.rows} rows for {count} samples")
    _check_columns(spec, rows)
    expect_close(metric.measure(samples), rows, f"{spec.name}: a second call", rtol=0, atol=0)
    for size in (1, 2):
        parts = [metric.measure(take(samples, range(start, min(start + size, count))))
                 for start in range(0, count, size)]
        expect_close(Table.concat(parts), rows, f"{spec.name}: batches of {size}")
    _check_summaries(spec, metric, rows)


def take(samples: Samples, indices: Sequence[int]) -> Samples:
    """The samples at the given indices, with every field that is filled."""
    index = np.array(indices, np.int64)

    def pick(values: Any) -> Any:
        if values is None or isinstance(values, np.ndarray):
            return None if values is None else values[index]
        return [values[i] for i in index]

    return replace(
        samples, ids=pick(samples.ids), targets=pick(samples.targets), predictions=samples.predictions.take(index),
        fits=pick(samples.fits), images=pick(samples.images), inputs=pick(samples.inputs),
        saliency=pick(samples.saliency), classes=pick(samples.classes), seeds=pick(samples.seeds),
    )


def _check_columns(spec: MetricSpec, rows: Table) -> None:
    for name, column in rows.items():
        dtype = (column.values if isinstance(column, Ragged) else column).dtype
        expect(dtype.kind in "biufUS", f'{spec.name}: column "{name}" has dtype {dtype}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        rows.save(path)
        expect_close(Table.load(path), rows, f"{spec.name}: saved and read again", rtol=0, atol=0)


def _check_summaries(spec: MetricSpec, metric: Metric, rows: Table) -> None:
    everything = np.arange(rows.rows)
    whole = _scalars(spec, metric, rows)
    _same_scalars(spec, whole, _scalars(spec, metric, rows), "a second call", 0)
    _same_scalars(spec, whole, _scalars(spec, metric, rows.take(everything[::-1])), "rows in another order", 1e-6)
    doubled = _scalars(spec, metric, rows.take(np.concatenate([everything, everything])))
    expect(set(doubled) == set(whole), f"{spec.name}: repeated rows give other results")
    single = _scalars(spec, metric, rows.take(np.zeros_like(everything)))
    expect(set(single) == set(whole), f"{spec.name}: one row repeated gives other results")


def _scalars(spec: MetricSpec, metric: Metric, rows: Table) -> dict[str, float | None]:
    summary = metric.summarize(rows)
    _check_summary(spec, summary)
    return {suffix: scalar.value for suffix, scalar in summary.scalars.items()}


def _check_summary(spec: MetricSpec, summary: Summary) -> None:
    expect(summary.scalars, f"{spec.name}: no result")
    low, high = spec.range
    for suffix, scalar in summary.scalars.items():
        who = f"{spec.name}{suffix}"
        expect(suffix == "" or re.match(r"[@.]", suffix), f'{who}: a suffix is "", "@param" or ".part"')
        expect(scalar.value is None or math.isfinite(scalar.value), f"{who}: {scalar.value}; give None instead")
        json.dumps(asdict(scalar), allow_nan=False)
        expect(scalar.n >= 0 and scalar.n_invalid >= 0, f"{who}: negative count")
        main = scalar.unit == spec.unit and not suffix.startswith(".")
        tolerance = 1e-6 * max(1.0, abs(low) if math.isfinite(low) else 1.0)
        expect(not main or scalar.value is None or low - tolerance <= scalar.value <= high + tolerance,
               f"{who}: {scalar.value} is outside of {low}..{high}")
    for suffix, curve in summary.curves.items():
        expect(len(curve.x) == len(curve.y), f"{spec.name}{suffix}: a curve with {len(curve.x)} x and {len(curve.y)} y")
        json.dumps(asdict(curve), allow_nan=False)


def _same_scalars(spec: MetricSpec, one: dict[str, float | None], other: dict[str, float | None], what: str,
                  tolerance: float) -> None:
    expect(set(one) == set(other), f"{spec.name}: {what}: results {sorted(one)} and {sorted(other)}")
    for suffix, value in one.items():
        again = other[suffix]
        equal = value == again or (value is not None and again is not None
                                   and math.isclose(value, again, rel_tol=tolerance, abs_tol=tolerance))
        expect(equal, f"{spec.name}{suffix}: {what}: {value} and {again}")
