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
    FinishedRun,
    Group,
    InferenceSession,
    Metric,
    ModelFile,
    ModelRequest,
    Progress,
    Reporter,
    RunContext,
    Samples,
    Scalar,
    Scenario,
    Subject,
    Summary,
    TellsPrecision,
    TellsSettings,
    TensorInfo,
    Timing,
    Unreadable,
)
from harness.datasets import (
    IMAGE_SUFFIXES,
    GeneratedDataset,
    IndexedDataset,
    UnreadableSample,
    evenly,
    evenly_spaced,
    files_fingerprint,
)
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
from harness.partnames import part_names
from harness.results import CellResult, GateResult, LatencyResult, MetricResult, Results, verdict
from harness.saliency import Explain, GraphGenerator, ModelHandle, SaliencyGenerator, StoredMaps
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
    from harness.cache import cache_folder
    from harness.failures import exit_reason
    from harness.files import write_bytes
    from harness.geometry import Fit, normalize, prepare
    from harness.host import create
    from harness.identity import package_sources
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
    from harness.onnx.compose import compose
    from harness.onnx.explainer import ExplainerDraft, of_predicted_class
    from harness.onnx.external import model_sha256
    from harness.onnx.gradient import Context, Graph, Modifier, Rules, UnsupportedOp, standard_rules
    from harness.onnx.interface import checked_feeds
    from harness.onnx.layers import last_spatial_activation
    from harness.onnx.models import load_card, read_labels
    from harness.onnx.preoptimized import preoptimized
    from harness.onnx.providers import provider_problem, provider_versions
    from harness.onnx.saliency_fed import feed_saliency
    from harness.onnx.scores import scores_graph, with_output
    from harness.onnx.session import open_session
    from harness.onnx.split import graph_tail
    from harness.onnx.tuning import tuned_session
    from harness.photographs import as_rgb, open_picture, read_photograph, upright
    from harness.reloading import reload
    from harness.resample import map_to_input, resize_maps, scaled_map, scaling_weights
    from harness.stats import rank_correlation, stable_seed
    from harness.suppression import decode_ssd
    from harness.table import Ragged, Table

_LAZY = {
    "Context": "harness.onnx.gradient",
    "ExplainerDraft": "harness.onnx.explainer",
    "Fit": "harness.geometry",
    "Graph": "harness.onnx.gradient",
    "Modifier": "harness.onnx.gradient",
    "Ragged": "harness.table",
    "Rules": "harness.onnx.gradient",
    "Table": "harness.table",
    "UnsupportedOp": "harness.onnx.gradient",
    "as_rgb": "harness.photographs",
    "cache_folder": "harness.cache",
    "checked_feeds": "harness.onnx.interface",
    "closed_loop": "harness.measure",
    "cold_start": "harness.measure",
    "collector_off": "harness.measure",
    "compose": "harness.onnx.compose",
    "create": "harness.host",
    "decode_ssd": "harness.suppression",
    "exit_reason": "harness.failures",
    "feed_saliency": "harness.onnx.saliency_fed",
    "graph_tail": "harness.onnx.split",
    "invalidity": "harness.measure",
    "last_spatial_activation": "harness.onnx.layers",
    "load_card": "harness.onnx.models",
    "map_to_input": "harness.resample",
    "markdown_escape": "harness.markdown",
    "markdown_table": "harness.markdown",
    "model_sha256": "harness.onnx.external",
    "normalize": "harness.geometry",
    "number": "harness.markdown",
    "of_predicted_class": "harness.onnx.explainer",
    "open_loop": "harness.measure",
    "open_picture": "harness.photographs",
    "open_session": "harness.onnx.session",
    "package_sources": "harness.identity",
    "poisson_arrivals": "harness.measure",
    "preoptimized": "harness.onnx.preoptimized",
    "prepare": "harness.geometry",
    "provider_problem": "harness.onnx.providers",
    "provider_versions": "harness.onnx.providers",
    "rank_correlation": "harness.stats",
    "read_labels": "harness.onnx.models",
    "read_photograph": "harness.photographs",
    "reload": "harness.reloading",
    "resize_maps": "harness.resample",
    "scaled_map": "harness.resample",
    "scaling_weights": "harness.resample",
    "scores_graph": "harness.onnx.scores",
    "stable_seed": "harness.stats",
    "standard_rules": "harness.onnx.gradient",
    "tuned_session": "harness.onnx.tuning",
    "unpack_mask": "harness.masks",
    "upright": "harness.photographs",
    "warm_up": "harness.measure",
    "with_output": "harness.onnx.scores",
    "write_bytes": "harness.files",
}
"""Names whose modules need numpy, Pillow or onnxruntime: imported when a plugin first asks for them."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "API_VERSION",
    "IMAGE_SUFFIXES",
    "TASKS",
    "Backend",
    "BackendSpec",
    "BackendUnavailable",
    "Batch",
    "CellError",
    "CellResult",
    "ClassificationTarget",
    "Context",
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
    "Rules",
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
    "TellsPrecision",
    "TellsSettings",
    "TensorInfo",
    "TileSpec",
    "Timing",
    "Trainable",
    "Unreadable",
    "UnreadableSample",
    "UnsupportedOp",
    "as_rgb",
    "cache_folder",
    "checked_feeds",
    "closed_loop",
    "cold_start",
    "collector_off",
    "compose",
    "create",
    "decode_ssd",
    "did_you_mean",
    "evenly",
    "evenly_spaced",
    "exit_reason",
    "feed_saliency",
    "files_fingerprint",
    "graph_tail",
    "hookimpl",
    "invalidity",
    "last_spatial_activation",
    "load_card",
    "map_to_input",
    "markdown_escape",
    "markdown_table",
    "model_sha256",
    "normalize",
    "number",
    "of_predicted_class",
    "one_of",
    "open_loop",
    "open_picture",
    "open_session",
    "package_sources",
    "part_names",
    "poisson_arrivals",
    "preoptimized",
    "prepare",
    "provider_problem",
    "provider_versions",
    "rank_correlation",
    "read_labels",
    "read_photograph",
    "reload",
    "resize_maps",
    "scaled_map",
    "scaling_weights",
    "scores_graph",
    "stable_seed",
    "standard_rules",
    "tuned_session",
    "unpack_mask",
    "upright",
    "verdict",
    "warm_up",
    "with_output",
    "write_bytes",
]
