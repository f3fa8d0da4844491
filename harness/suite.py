"""The suite: what a TOML file may contain (tables), and what it means once names are resolved (entries).

Frozen and free of I/O; `harness.reading` makes it from a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.onnx.precision.settings import Int8Settings
from harness.params import Params, SuitePath
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    GradientRuleSpec,
    MetricSpec,
    ModelSpec,
    SaliencySpec,
    ScenarioSpec,
    Spec,
)
from harness.transforms import Transform

S = TypeVar("S", bound=Spec)

DEFAULT_BACKEND = "onnxruntime-cpu"


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _requirement(pin: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        Requirement(pin)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'"{pin}" is not a requirement like "acme-metrics>=1.2": {reason}') from None
    return pin


Pin = Annotated[str, AfterValidator(_requirement)]
Positive = Annotated[int, Field(gt=0)]
OneOrMore = Annotated[tuple[Positive, ...], Field(min_length=1),
                      BeforeValidator(_as_list, json_schema_input_type=Positive | tuple[Positive, ...])]
Names = tuple[str, ...]


class SuiteTable(Params):
    """[suite]"""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    """Names the folder of its runs."""
    description: str = ""
    """Shown in reports."""
    seed: int = 0
    """Seeds bootstrap, metrics and saliency that draw."""
    plugins: tuple[Pin, ...] = ()
    """Plugin distributions that must be installed, e.g. "acme-metrics>=1.2"."""
    reference: str | None = None
    """Key of the latency cell that ratios are relative to; with wildcards, one cell of each model for its own."""
    baseline: SuitePath | None = None
    """An earlier run (folder or results.json) for `max_regression`."""


class DatasetTable(Params):
    """[datasets.NAME]; the other keys are the plugin's."""

    use: str | None = None
    """The dataset plugin."""
    base: str | None = None
    """Instead of `use`: another dataset of this suite whose keys are taken over and may be overridden."""
    transforms: tuple[Transform, ...] = ()
    """Applied to the images, in order."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.use is None) == (self.base is None):
            raise ValueError("needs either use = PLUGIN or base = DATASET")
        return self


class CalibrationTable(Int8Settings):
    """`calibration = {...}` of a model: what its int8 file is made with."""

    dataset: str | None = None
    """A dataset of this suite, or a plugin with its defaults; by default what the model is trained on."""
    split: str | None = None
    """Of that dataset; by default the split that its table names, or "train" of a model's own training data."""
    count: Annotated[int, Field(gt=0)] = 128
    """Samples that ranges are found on, evenly spread."""
    metric: str | None = None
    """The metric whose first number decides which layers stay in float; by default the first of the model's recipe.
    Without one nothing is searched."""
    max_loss: Annotated[float, Field(ge=0)] = 0.005
    """What that number may lose against float32: absolute for fractions, otherwise relative."""


class ModelTable(Params):
    """[models.NAME]; the other keys are the plugin's."""

    use: str
    """The model plugin."""
    export: SuitePath | None = None
    """Folder of the export (or its .onnx file); by default it is searched by name."""
    train: dict[str, Any] = {}
    """Changes to the model's training recipe, used by `harness train`."""
    calibration: CalibrationTable | None = None
    """How the int8 file is made; required for models that no recipe of this suite trains."""


class SaliencyTable(Params):
    """[saliency.NAME]; the other keys are the plugin's."""

    use: str
    """The saliency plugin."""
    layer: str | None = None
    """Overrides the model's cam_layer."""


class PluginTable(Params):
    """[metrics.NAME], [backends.NAME] and [executor]; the other keys are the plugin's."""

    use: str
    """The plugin."""


class LatencyTable(Params):
    """An item of `latency = [...]`; the other keys are the scenario's."""

    scenario: str = "single-stream"
    """The scenario plugin."""
    batch: OneOrMore = (1,)
    """Samples per query; a list is a matrix."""
    threads: OneOrMore = (1,)
    """Intra-operator threads; a list is a matrix."""


class MatrixTable(Params):
    """What [[bench]] and [[explain]] share."""

    models: Names = Field(min_length=1)
    """Models of this suite."""
    datasets: Names = ()
    """Datasets of this suite."""
    metrics: Names = ()
    """Metrics of this suite, or plugins with their defaults."""
    precisions: Names = ("fp32",)
    """Model files: fp32, fp16, int8."""
    backends: Names = (DEFAULT_BACKEND,)
    """Backends of this suite, or plugins with their defaults."""
    batch_size: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Samples per forward pass of an accuracy or explain cell; "auto" goes by the size of the model's input."""
    include: Names = ()
    """Globs over keys: only these cells."""
    exclude: Names = ()
    """Globs over keys: not these cells."""


class BenchTable(MatrixTable):
    """[[bench]]: accuracy and latency cells."""

    latency: tuple[dict[str, Any], ...] = ()
    """Latency measurements: { scenario, batch, threads, and the scenario's own keys }."""

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if bool(self.datasets) != bool(self.metrics):
            raise ValueError("datasets and metrics belong together: give both, or neither for latency alone")
        if not self.datasets and not self.latency:
            raise ValueError("measures nothing: give datasets and metrics, latency, or all three")
        return self


class ExplainTable(MatrixTable):
    """[[explain]]: saliency cells."""

    datasets: Names = Field(min_length=1)
    """Datasets of this suite."""
    metrics: Names = Field(min_length=1)
    """Metrics of this suite, or plugins with their defaults."""
    saliency: Names = Field(min_length=1)
    """Generators of this suite, or plugins with their defaults."""
    target: Literal["label", "predicted"] = "label"
    """The class that is explained."""


class GateTable(Params):
    """[[gates]]: a condition that decides the exit code."""

    cell: str
    """Glob over keys; a gate that matches no ok cell, or one that failed, fails."""
    metric: str
    """Result name, e.g. "pck@0.05", or a latency field, e.g. "p90_ms"; one of a latency that is not valid fails."""
    min: float | None = None
    """The value must be at least this."""
    max: float | None = None
    """The value must be at most this."""
    max_regression: Annotated[str, Field(pattern=r"^\d+(\.\d+)?%$")] | None = None
    """Relative to the suite's baseline, e.g. "5%"; a latency is measured again beside the baseline's export."""

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if sum(value is not None for value in (self.min, self.max, self.max_regression)) != 1:
            raise ValueError('needs exactly one of min, max and max_regression')
        return self


# --- resolved --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry(Generic[S]):
    """A plugin's declaration under the id of the suite, with its validated params."""

    id: str
    spec: S
    params: Params


BackendEntry = Entry[BackendSpec]
ExecutorEntry = Entry[ExecutorSpec]


@dataclass(frozen=True)
class MetricEntry(Entry[MetricSpec]):
    """A metric of the suite."""

    @property
    def requires(self) -> frozenset[str]:
        """What it needs of the samples; the params may know better than the declaration."""
        required: frozenset[str] = getattr(self.params, "requires", self.spec.requires)
        return required

    @property
    def passes(self) -> float:
        """Forward passes for each sample, as far as they do not depend on the generator."""
        passes: float = getattr(self.params, "passes", self.spec.passes)
        return passes

    @property
    def maps(self) -> int:
        """Further maps for each sample that it has the generator make."""
        maps: int = getattr(self.params, "maps", 0)
        return maps

    @property
    def budget(self) -> float:
        """The most forward passes for one sample that these maps may cost."""
        budget: float = getattr(self.params, "budget", math.inf)
        return budget


@dataclass(frozen=True)
class DatasetEntry(Entry[DatasetSpec]):
    """A dataset of the suite."""

    transforms: tuple[Transform, ...] = ()

    @property
    def provides(self) -> frozenset[str]:
        """What targets carry beside the task's own; the params may know better than the declaration."""
        provided: frozenset[str] = getattr(self.params, "provides", self.spec.provides)
        return provided


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's int8 file is made.

    dataset: ranges are found on at most `count` of its samples; check: where the metric is measured while it is
    decided which layers stay in float; without it or a metric nothing is searched.
    """

    dataset: DatasetEntry
    count: int
    settings: Int8Settings
    check: DatasetEntry | None = None
    metric: MetricEntry | None = None
    max_loss: float = 0.005


@dataclass(frozen=True)
class ModelEntry(Entry[ModelSpec]):
    """A model of the suite. folders: where exports are searched; calibration: None when nothing says on what."""

    export: Path | None = None
    train: Mapping[str, Any] = field(default_factory=dict)
    folders: tuple[Path, ...] = ()
    calibration: Calibration | None = None

    @property
    def task(self) -> str | None:
        """None when only the model file knows."""
        return self.spec.task or getattr(self.params, "task", None)


@dataclass(frozen=True)
class SaliencyEntry(Entry[SaliencySpec]):
    """A saliency generator of the suite. rules: gradient rules of plugins, for generators inside of graphs."""

    layer: str | None = None
    rules: tuple[GradientRuleSpec, ...] = ()

    @property
    def passes(self) -> float | None:
        """Cost of a map in forward passes; the params may know better than the declaration."""
        passes: float | None = getattr(self.params, "passes", self.spec.passes)
        return passes


@dataclass(frozen=True, slots=True)
class LatencyRequest:
    """One item of `latency`."""

    spec: ScenarioSpec
    params: Params
    batch: tuple[int, ...]
    threads: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A resolved [[bench]] or [[explain]]: a matrix of cells.

    where: its key path in the file; batch_size: None when the model's input decides.
    """

    where: tuple[str | int, ...]
    models: tuple[ModelEntry, ...]
    datasets: tuple[DatasetEntry, ...]
    metrics: tuple[MetricEntry, ...]
    precisions: tuple[str, ...]
    backends: tuple[BackendEntry, ...]
    batch_size: int | None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    latency: tuple[LatencyRequest, ...] = ()
    saliency: tuple[SaliencyEntry, ...] = ()
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """A valid suite. resolved: the TOML data after profile and environment; line: where a key path stands."""

    path: Path
    table: SuiteTable
    datasets: Mapping[str, DatasetEntry]
    models: Mapping[str, ModelEntry]
    benches: tuple[Bench, ...]
    gates: tuple[GateTable, ...]
    executor: ExecutorEntry | None
    resolved: Mapping[str, Any]
    line: Callable[[tuple[str | int, ...]], int | None]

    @property
    def name(self) -> str:
        return self.table.name
