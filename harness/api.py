"""Everything a plugin may import from harness. Nothing else is stable.

Light by design: importing this module imports neither torch, onnxruntime nor the harness's own heavy modules.
"""

from typing import TYPE_CHECKING

from harness.card import InputSpec, ModelCard, SsdDecoder, TileSpec
from harness.contracts import (
    Backend,
    Batch,
    Curve,
    Dataset,
    Executor,
    Explain,
    FinishedRun,
    GraphGenerator,
    Group,
    InferenceSession,
    Metric,
    ModelFile,
    ModelHandle,
    ModelRequest,
    Progress,
    Reporter,
    RunContext,
    SaliencyGenerator,
    Samples,
    Scalar,
    Scenario,
    StoredMaps,
    Subject,
    Summary,
    TensorInfo,
    Timing,
    Unreadable,
)
from harness.datasets import GeneratedDataset, IndexedDataset, UnreadableSample, evenly, files_fingerprint
from harness.errors import (
    BackendUnavailable,
    CellError,
    DataError,
    HandledError,
    MissingDependency,
    ModelFileError,
    PluginError,
    TaskMismatch,
    did_you_mean,
    one_of,
)
from harness.hookspecs import hookimpl
from harness.params import Params, SuitePath
from harness.results import CellResult, GateResult, LatencyResult, MetricResult, Results
from harness.specs import (
    API_VERSION,
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    GradientRuleSpec,
    MetricSpec,
    ModelSpec,
    Provider,
    ReporterSpec,
    SaliencySpec,
    ScenarioSpec,
)
from harness.tasks import (
    TASKS,
    ClassificationTarget,
    DetectionTarget,
    KeypointsTarget,
    SegmentationTarget,
    Target,
    Task,
)
from harness.trainable import Finish, Pretrained, Recipe, Trainable

if TYPE_CHECKING:
    from harness.failures import exit_reason
    from harness.geometry import Fit, normalize, prepare
    from harness.markdown import markdown_escape, markdown_table, number
    from harness.masks import unpack_mask
    from harness.measure import (
        closed_loop,
        cold_start,
        collector_off,
        invalidity,
        open_loop,
        poisson_arrivals,
        warm_up,
    )
    from harness.onnx.explainer import ExplainerDraft
    from harness.onnx.gradient import Graph, Modifier
    from harness.onnx.layers import last_spatial_activation
    from harness.onnx.models import read_labels
    from harness.onnx.providers import provider_problem, provider_versions
    from harness.onnx.scores import with_output
    from harness.onnx.session import open_session
    from harness.onnx.split import graph_tail
    from harness.opened import automatic_batch
    from harness.photographs import as_rgb, open_picture, read_photograph, upright
    from harness.resample import map_to_input, resize_maps, scaled_map, scaling_weights
    from harness.stats import stable_seed
    from harness.suppression import decode_ssd
    from harness.table import Ragged, Table

_LAZY = {
    "ExplainerDraft": "harness.onnx.explainer",
    "Fit": "harness.geometry",
    "Graph": "harness.onnx.gradient",
    "Modifier": "harness.onnx.gradient",
    "Ragged": "harness.table",
    "Table": "harness.table",
    "as_rgb": "harness.photographs",
    "automatic_batch": "harness.opened",
    "closed_loop": "harness.measure",
    "cold_start": "harness.measure",
    "collector_off": "harness.measure",
    "decode_ssd": "harness.suppression",
    "exit_reason": "harness.failures",
    "graph_tail": "harness.onnx.split",
    "invalidity": "harness.measure",
    "markdown_escape": "harness.markdown",
    "markdown_table": "harness.markdown",
    "number": "harness.markdown",
    "open_loop": "harness.measure",
    "last_spatial_activation": "harness.onnx.layers",
    "map_to_input": "harness.resample",
    "normalize": "harness.geometry",
    "open_picture": "harness.photographs",
    "open_session": "harness.onnx.session",
    "poisson_arrivals": "harness.measure",
    "prepare": "harness.geometry",
    "provider_problem": "harness.onnx.providers",
    "provider_versions": "harness.onnx.providers",
    "read_labels": "harness.onnx.models",
    "read_photograph": "harness.photographs",
    "resize_maps": "harness.resample",
    "scaled_map": "harness.resample",
    "scaling_weights": "harness.resample",
    "stable_seed": "harness.stats",
    "unpack_mask": "harness.masks",
    "upright": "harness.photographs",
    "warm_up": "harness.measure",
    "with_output": "harness.onnx.scores",
}
"""Names whose modules need numpy, Pillow or onnxruntime: imported when a plugin first asks for them."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "API_VERSION",
    "TASKS",
    "Backend",
    "BackendSpec",
    "BackendUnavailable",
    "Batch",
    "CellError",
    "CellResult",
    "ClassificationTarget",
    "Curve",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "DetectionTarget",
    "Executor",
    "ExecutorSpec",
    "Explain",
    "ExplainerDraft",
    "Finish",
    "FinishedRun",
    "Fit",
    "GateResult",
    "GeneratedDataset",
    "GradientRuleSpec",
    "Graph",
    "GraphGenerator",
    "Group",
    "HandledError",
    "IndexedDataset",
    "InferenceSession",
    "InputSpec",
    "KeypointsTarget",
    "LatencyResult",
    "Metric",
    "MetricResult",
    "MetricSpec",
    "MissingDependency",
    "ModelCard",
    "ModelFile",
    "ModelFileError",
    "ModelHandle",
    "ModelRequest",
    "ModelSpec",
    "Modifier",
    "Params",
    "PluginError",
    "Pretrained",
    "Progress",
    "Provider",
    "Ragged",
    "Recipe",
    "Reporter",
    "ReporterSpec",
    "Results",
    "RunContext",
    "SaliencyGenerator",
    "SaliencySpec",
    "Samples",
    "Scalar",
    "Scenario",
    "ScenarioSpec",
    "SegmentationTarget",
    "SsdDecoder",
    "StoredMaps",
    "Subject",
    "SuitePath",
    "Summary",
    "Table",
    "Target",
    "Task",
    "TaskMismatch",
    "TensorInfo",
    "TileSpec",
    "Timing",
    "Trainable",
    "Unreadable",
    "UnreadableSample",
    "as_rgb",
    "automatic_batch",
    "closed_loop",
    "cold_start",
    "collector_off",
    "decode_ssd",
    "did_you_mean",
    "evenly",
    "exit_reason",
    "files_fingerprint",
    "graph_tail",
    "hookimpl",
    "invalidity",
    "last_spatial_activation",
    "map_to_input",
    "markdown_escape",
    "markdown_table",
    "normalize",
    "number",
    "one_of",
    "open_loop",
    "open_picture",
    "open_session",
    "poisson_arrivals",
    "prepare",
    "provider_problem",
    "provider_versions",
    "read_labels",
    "read_photograph",
    "resize_maps",
    "scaled_map",
    "scaling_weights",
    "stable_seed",
    "unpack_mask",
    "upright",
    "warm_up",
    "with_output",
]
