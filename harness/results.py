"""The records of a run, schema 1: what `cells.jsonl` and `results.json` hold."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Frozen; additional keys of later versions are kept when a file is read."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), use_attribute_docstrings=True,
                              ser_json_inf_nan="null")


class MetricResult(Record):
    """One number with its interval."""

    value: float | None
    """None when nothing could be evaluated."""
    ci: tuple[float, float] | None = None
    """95 % interval: seeded bootstrap over samples, Wilson at 0 and 1."""
    n: int
    """What the number is computed over."""
    n_invalid: int = 0
    """Samples that could not be evaluated."""
    higher_is_better: bool = True
    convention: str = ""
    unit: str = "fraction"


class CurveResult(Record):
    """One curve of a metric."""

    x: list[float]
    y: list[float]
    x_label: str
    y_label: str


class LatencyResult(Record):
    """One latency measurement; times are milliseconds per query, a query is `batch` samples."""

    scenario: str
    batch: int
    threads: int
    n: int
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    cpu_ms: float | None = None
    """CPU time of the process per query."""
    throughput: float | None = None
    """Samples per second."""
    ratio: float | None = None
    """p50 relative to the suite's reference cell."""
    ratio_ci: tuple[float, float] | None = None
    ci: tuple[float, float] | None = None
    """Of the median."""
    valid: bool = True
    why: str | None = None
    """Why it is not valid, or which percentiles are null for too few queries."""
    noisy: bool | None = None


class Cost(Record):
    """What a cell cost."""

    seconds: float | None = None
    peak_rss_mb: float | None = None
    """Only where a fresh process measured it."""
    forward_passes: int | None = None
    model_mb: float | None = None
    gflop: float | None = None


class ErrorResult(Record):
    """Why a cell failed."""

    type: str
    message: str
    where: str | None = None
    """File and line, or the plugin."""


Kind = Literal["accuracy", "explain", "latency"]


class CellResult(Record):
    """One cell of the run."""

    key: str
    id: str
    kind: Kind
    status: Literal["ok", "failed", "skipped"]
    cached: bool = False
    reason: str | None = None
    """Why it was skipped, or what a reader of an ok cell must know (unreadable samples)."""
    provider: str | None = None
    """The plugin of the model."""
    seed: int = 0
    dataset: str | None = None
    model: str
    precision: str
    backend: str
    runs_on: str | None = None
    saliency: str | None = None
    target: str | None = None
    metrics: dict[str, MetricResult] = {}
    curves: dict[str, CurveResult] = {}
    latency: LatencyResult | None = None
    cost: Cost = Cost()
    error: ErrorResult | None = None
    files: dict[str, str] = {}
    """Raw data beside the results, relative to the run directory: rows, samples, thumbnails."""


class GateResult(Record):
    """One gate. value: the worst value among the cells it matched."""

    expression: str
    passed: bool
    value: float | None = None
    cells: list[str] = []
    reason: str | None = None


class PluginResult(Record):
    """One plugin that was loaded."""

    name: str
    distribution: str
    version: str


class Results(Record):
    """The whole run: `results.json`."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    suite: dict[str, Any]
    environment: dict[str, Any]
    plugins: list[PluginResult]
    cells: list[CellResult]
    gates: list[GateResult] = []
