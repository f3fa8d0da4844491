"""One line per cell and number: for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from harness.api import CellResult, FinishedRun, Params

_LATENCY = {"p50_ms": "ms", "p90_ms": "ms", "p95_ms": "ms", "p99_ms": "ms", "p50_early_stopping_ms": "ms",
            "p90_early_stopping_ms": "ms", "p95_early_stopping_ms": "ms", "p99_early_stopping_ms": "ms",
            "mean_ms": "ms", "cpu_ms": "ms", "throughput": "samples/s", "ratio": ""}
_INTERVALS = {"p50_ms": "ci", "throughput": "throughput_ci", "ratio": "ratio_ci"}


class CsvReporter:
    """Columns: key, kind, status, name, value, low, high, n, n_invalid, unit, convention, error, noisy.

    error: of a latency, why it is not valid; noisy: of a latency, whether the machine was disturbed.
    """

    def __init__(self, params: Params) -> None:
        pass

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        results = run.results
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["key", "kind", "status", "name", "value", "low", "high", "n", "n_invalid", "unit",
                         "convention", "error", "noisy"])
        for cell in results.cells:
            writer.writerows(_rows(cell))
        return {"results.csv": text.getvalue()}


def _rows(cell: CellResult) -> Iterator[list[Any]]:
    head = [cell.key, cell.kind, cell.status]
    if cell.status != "ok":
        yield [*head, "", "", "", "", "", "", "", "", cell.error.message if cell.error else cell.reason, ""]
    for name, metric in cell.metrics.items():
        low, high = metric.ci or (None, None)
        yield [*head, name, metric.value, low, high, metric.n, metric.n_invalid, metric.unit, metric.convention, "",
               ""]
    if (latency := cell.latency) is not None:
        invalid = "" if latency.valid else latency.why or "not valid"
        for name, unit in _LATENCY.items():
            interval = getattr(latency, _INTERVALS[name]) if name in _INTERVALS else None
            low, high = interval or (None, None)
            yield [*head, name, getattr(latency, name), low, high, latency.n, 0, unit, "", invalid, latency.noisy]
