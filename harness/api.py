"""Everything a plugin may import from harness. Nothing else is stable.

Light by design: importing this module imports neither torch, onnxruntime nor the harness's own heavy modules.
"""

from typing import TYPE_CHECKING

from harness.card import InputSpec, ModelCard, SsdDecoder, TileSpec
from harness.contracts import (
    API_VERSION,
    Backend,
    BackendSpec,
    Batch,
    Curve,
    Dataset,
    DatasetSpec,
    Executor,
    ExecutorSpec,
    GradientRuleSpec,
    Group,
    InferenceSession,
    Metric,
    MetricSpec,
    ModelFile,
    ModelHandle,
    ModelRequest,
    ModelSpec,
    Progress,
    Provider,
    Reporter,
    ReporterSpec,
    RunContext,
    SaliencyGenerator,
    SaliencySpec,
    Samples,
    Scalar,
    Scenario,
    ScenarioSpec,
    Summary,
    TensorInfo,
    Timing,
    Unreadable,
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
from harness.results import CellResult, Results
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
    from harness.geometry import Fit
    from harness.masks import unpack_mask
    from harness.measure import closed_loop
    from harness.onnx.models import read_labels
    from harness.onnx.providers import provider_problem, provider_versions
    from harness.onnx.session import open_session
    from harness.suppression import decode_ssd
    from harness.table import Ragged, Table

_LAZY = {
    "Fit": "harness.geometry",
    "Ragged": "harness.table",
    "Table": "harness.table",
    "closed_loop": "harness.measure",
    "decode_ssd": "harness.suppression",
    "open_session": "harness.onnx.session",
    "provider_problem": "harness.onnx.providers",
    "provider_versions": "harness.onnx.providers",
    "read_labels": "harness.onnx.models",
    "unpack_mask": "harness.masks",
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
    "Finish",
    "Fit",
    "GradientRuleSpec",
    "Group",
    "HandledError",
    "InferenceSession",
    "InputSpec",
    "KeypointsTarget",
    "Metric",
    "MetricSpec",
    "MissingDependency",
    "ModelCard",
    "ModelFile",
    "ModelFileError",
    "ModelHandle",
    "ModelRequest",
    "ModelSpec",
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
    "closed_loop",
    "decode_ssd",
    "did_you_mean",
    "hookimpl",
    "one_of",
    "open_session",
    "provider_problem",
    "provider_versions",
    "read_labels",
    "unpack_mask",
]
