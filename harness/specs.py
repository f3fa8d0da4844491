"""What plugins declare: specs, cheap to create and to read.

A hook returns them without importing torch, onnxruntime or the plugin's own heavy modules. The factory that a spec
names is imported when the suite first needs it; what it must return is in harness.contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.params import Params
from harness.trainable import Recipe

API_VERSION = 1
"""The version of this contract; a plugin may set `harness_api = 1` in its module."""
API_FLOOR = 1
"""The oldest version that this host still loads."""

Role = Literal[
    "dataset", "model", "saliency", "metric", "backend", "scenario", "executor", "reporter", "gradient-rule"
]


@dataclass(frozen=True, slots=True)
class Provider:
    """Who declared a spec: the plugin's entry-point name, its distribution and version."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version})"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What every declaration has in common.

    name: what a suite writes after `use =`; summary: one line; factory: "package.module:attribute", called with the
    validated params; params: pydantic model; provider: stamped by the host, never set by a plugin.
    """

    role: ClassVar[Role]
    name: str
    summary: str
    factory: str
    params: type[Params] = Params
    provider: Provider | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """factory(params) -> Dataset. provides: subset of {"boxes", "mask"}, what targets carry beside the task's own."""

    role = "dataset"
    task: str
    provides: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """factory(params) -> Trainable; it may import torch and is called by `train` and `export` only.

    task: None when the params say it (key `task`) or the file's metadata does. locate: "package.module:attribute",
    called as locate(params, request) -> ModelFile without torch; by default the shipped or trained export `export_id`.
    """

    role = "model"
    factory: str = ""
    task: str | None = None
    export_id: str | None = None
    recipe: type[Recipe] = Recipe
    locate: str = "harness.exports:find"


@dataclass(frozen=True, kw_only=True)
class SaliencySpec(Spec):
    """factory(params) -> SaliencyGenerator, GraphGenerator where `graph` is true, or StoredMaps where `stored` is.

    passes: cost of one map in forward passes, None when the params decide (by a property `passes`, where they can);
    conventions: what its maps depend on beside the method's name.
    """

    role = "saliency"
    graph: bool = False
    stored: bool = False
    passes: float | None = None
    conventions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """factory(params) -> Metric.

    tasks: the tasks it applies to; requires: subset of {"boxes", "mask", "saliency", "predict", "explain", "model"};
    higher_is_better, unit, range, worst (the score of an invalid sample) and conventions describe its main result;
    passes: additional forward passes per sample; replicates: bootstrap replicates for its intervals.
    Its params may have properties that know better: `requires`, `passes`, and for metrics that use `explain`: `maps`,
    how many further maps it makes of a sample, and `budget`, the most forward passes these may cost; a suite that asks
    for more is refused with the estimate.
    """

    role = "metric"
    tasks: frozenset[str]
    requires: frozenset[str] = frozenset()
    higher_is_better: bool = True
    unit: str = "fraction"
    range: tuple[float, float] = (0.0, 1.0)
    worst: float | None = None
    conventions: tuple[str, ...] = ()
    passes: float = 0.0
    replicates: int = 1000


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Spec):
    """factory(params) -> Backend. precisions: those it can run.

    accepts: what it opens: an ONNX file, or the folder of an export with the network's weights (`checkpoint`).
    """

    role = "backend"
    accepts: Literal["onnx", "checkpoint"] = "onnx"
    precisions: frozenset[str] = frozenset({"fp32"})
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class ScenarioSpec(Spec):
    """factory(params) -> Scenario.

    model_only: a query's time is the model's alone, so that it says how many operations per second were reached; not
    where it holds waiting in a queue or opening a session.
    """

    role = "scenario"
    model_only: bool = True


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """factory(params) -> Executor."""

    role = "executor"


@dataclass(frozen=True, kw_only=True)
class ReporterSpec(Spec):
    """factory(params) -> Reporter."""

    role = "reporter"


@dataclass(frozen=True, kw_only=True)
class GradientRuleSpec(Spec):
    """factory is the VJP rule itself of the ONNX operator `name` in `domain` ("" is the standard domain).

    It is called with a harness.onnx.gradient.Context for each node that a gradient passes; see docs/gradient.md.
    """

    role = "gradient-rule"
    domain: str = ""
