"""The records of a run, schema 1: what `cells.jsonl` and `results.json` hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from harness.contracts import Scalar


class Record(BaseModel):
    """Frozen; additional keys of later versions are kept when a file is read."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=(), use_attribute_docstrings=True,
                              ser_json_inf_nan="null", json_schema_serialization_defaults_required=True)


def finite(value: float | None) -> float | None:
    """The value, None for what is not finite."""
    return value if value is not None and math.isfinite(value) else None


Number = Annotated[float | None, AfterValidator(finite)]
"""JSON has neither NaN nor infinity: both are null, in memory as in the file, so that no comparison is lost on them."""


class MetricResult(Record):
    """One number with its interval."""

    value: Number
    """None when nothing could be evaluated."""
    ci: tuple[float, float] | None = None
    """95 % interval: seeded bootstrap over samples, Wilson at 0 and 1."""
    n: int
    """What the number is computed over."""
    n_invalid: int = 0
    """Samples that could not be evaluated."""
    higher_is_better: bool = True
    convention: str = ""
    """Which of the published definitions; numbers of different conventions are never compared."""
    unit: str = "fraction"
    """"fraction" is a share of 1."""
    detail: bool = False
    """One of many parts (a keypoint, a class): tables leave it out."""


    @classmethod
    def of(cls, scalar: Scalar, ci: tuple[float, float] | None) -> MetricResult:
        """What a metric's summary says, with the interval of its bootstrap."""
        return cls(value=scalar.value, ci=ci, n=scalar.n, n_invalid=scalar.n_invalid, unit=scalar.unit,
                   higher_is_better=scalar.higher_is_better, convention=scalar.convention, detail=scalar.detail)


class CurveResult(Record):
    """One curve of a metric."""

    x: list[Number]
    y: list[Number]
    x_label: str
    y_label: str


class LatencyResult(Record):
    """One latency measurement; times are milliseconds per query, a query is `batch` samples."""

    scenario: str
    """The scenario plugin."""
    batch: int
    """Samples per query."""
    threads: int
    """Intra-operator threads."""
    n: int
    """Timed queries, those included that were not served."""
    p50_ms: float | None = None
    """sorted[int(n * p)], like all percentiles here; null with too few queries behind it, and where the query was not
    served."""
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    p50_early_stopping_ms: float | None = None
    """LoadGen's early-stopping estimate: what the percentile stays below with 99 % confidence."""
    p90_early_stopping_ms: float | None = None
    p95_early_stopping_ms: float | None = None
    p99_early_stopping_ms: float | None = None
    mean_ms: float | None = None
    """Of the queries that were served."""
    cpu_ms: float | None = None
    """CPU time of the process per query that was served."""
    gflops: float | None = None
    """10^9 operations per second at p50: what is counted on the graph (`cost.gflop`), divided by the time."""
    peak_share: float | None = None
    """Relative to what a large float32 matrix product reached on the same backend and threads."""
    energy_mj: float | None = None
    """Millijoules per query of all processor packages (RAPL), whoever used them; null where they are not readable."""
    gpu_energy_mj: float | None = None
    """Millijoules per query of all GPUs (NVML), whoever used them."""
    throughput: float | None = None
    """Samples per second that were served."""
    throughput_ci: tuple[float, float] | None = None
    """95 % interval, bootstrap over rounds."""
    ratio: float | None = None
    """Relative to the suite's reference cell: typical ratio (Hodges-Lehmann) of the medians of a round, else of p50."""
    ratio_ci: tuple[float, float] | None = None
    """95 % interval over rounds (signed-rank test); null when they were not measured in the same rounds."""
    ci: tuple[float, float] | None = None
    """95 % interval of the median in milliseconds, bootstrap over rounds."""
    rounds: list[float] = []
    """Median of each round in milliseconds."""
    session: str | None = None
    """Cells with the same value were measured in the same rounds, in turn."""
    sessions: int | None = None
    """How many sessions the model had, one after the other."""
    parts: dict[str, float] = {}
    """Median milliseconds of the parts of a query, e.g. `open` and `first` of a cold start."""
    valid: bool = True
    """By LoadGen's conditions: queries, duration, early stopping, latency bound."""
    why: str | None = None
    """Why it is not valid, or which percentiles are null for too few queries."""
    noisy: bool | None = None
    """Whether the machine was disturbed during the measurement."""
    queueing: float | None = None
    """Time that threads of the process were ready and had no core, per time of the measurement (Linux)."""


class Cost(Record):
    """What a cell cost."""

    seconds: float | None = None
    """Wall time, model loading and metrics included."""
    peak_rss_mb: float | None = None
    """Only where a fresh process measured it."""
    gpu_mb: float | None = None
    """GPU memory of the process that measured it (NVML), where it had one model."""
    forward_passes: int | None = None
    """Samples sent through the model; 0 when everything was cached."""
    model_mb: float | None = None
    """Size of the model file."""
    gflop: float | None = None
    """Of one sample, counted on the graph."""
    map_ms: float | None = None
    """Wall time of one saliency map in the cell's batches, the median of them; null when all maps were cached."""
    map_passes: float | None = None
    """The same in forward passes of the same batches."""


class ErrorResult(Record):
    """Why a cell failed."""

    type: str
    """Class of the exception."""
    message: str
    """What, where, whose, and the way out."""
    where: str | None = None
    """File and line, or the plugin."""


Kind = Literal["accuracy", "explain", "latency"]


class CellResult(Record):
    """One cell of the run."""

    key: str
    """Readable and stable over retraining."""
    id: str
    """Hash of everything that determines the outcome."""
    kind: Kind
    status: Literal["ok", "failed", "skipped"]
    cached: bool = False
    """Whether the model did not have to run."""
    reason: str | None = None
    """Why it was skipped, or what a reader of an ok cell must know (unreadable samples)."""
    provider: str | None = None
    """The plugin of the model."""
    seed: int = 0
    """The suite's."""
    dataset: str | None = None
    model: str
    precision: str
    backend: str
    runs_on: str | None = None
    """Provider or device that really executed the model."""
    executed: dict[str, int] = {}
    """Layers with weights by the type that they were really computed in; empty where the backend can not tell."""
    settings: dict[str, Any] = {}
    """Options that the backend chose by measuring (`tune = true`)."""
    model_file: str | None = None
    """Path of the ONNX file that was measured."""
    model_sha256: str | None = None
    """Of that file."""
    saliency: str | None = None
    target: str | None = None
    """The explained class: label or predicted."""
    metrics: dict[str, MetricResult] = {}
    """By result name."""
    curves: dict[str, CurveResult] = {}
    """By result name."""
    latency: LatencyResult | None = None
    cost: Cost = Cost()
    error: ErrorResult | None = None
    files: dict[str, str] = {}
    """Raw data beside the results, relative to the run directory: rows, ids of the samples, samples, thumbnails."""


class GateResult(Record):
    """One gate. value: the worst value among the cells it matched."""

    expression: str
    """The condition in words."""
    passed: bool
    value: Number = None
    cells: list[str] = []
    """Keys of the ok cells it matched."""
    reason: str | None = None
    """Why it failed, where that is not the value."""


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
    """As resolved: profile applied, environment expanded."""
    environment: dict[str, Any]
    """Machine, packages, commit."""
    plugins: list[PluginResult]
    """All that were loaded."""
    cells: list[CellResult]
    """In the order of the plan."""
    gates: list[GateResult] = []


def verdict(results: Results) -> tuple[str, str]:
    """("good", "bad" or "plain", in words): whether the run is good."""
    broken = sum(cell.status == "failed" for cell in results.cells)
    lost = sum(not gate.passed for gate in results.gates)
    if broken or lost:
        parts = [f"{broken} cell{'s' * (broken != 1)} failed" if broken else "",
                 f"{lost} of {len(results.gates)} gates failed" if lost else ""]
        return "bad", ", ".join(filter(None, parts))
    if not any(cell.status == "ok" for cell in results.cells):
        return "bad", "nothing was measured"
    if results.gates:
        return "good", f"all {len(results.gates)} gates passed" if len(results.gates) > 1 else "the gate passed"
    return "plain", "no gates"
