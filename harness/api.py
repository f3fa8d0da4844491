"""Everything a plugin may import from harness. Nothing else is stable.

Light by design: importing this module imports neither torch, onnxruntime nor the harness's own heavy modules.
"""

from harness.card import InputSpec, ModelCard
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
from harness.tasks import (
    TASKS,
    ClassificationTarget,
    DetectionTarget,
    KeypointsTarget,
    SegmentationTarget,
    Target,
    Task,
)
from harness.trainable import Recipe, Trainable
