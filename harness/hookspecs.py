"""The hooks. Each docstring is a complete small plugin; the tests run every one of them.

A plugin is a module (or an object) behind an entry point in the group `harness`:

    [project.entry-points.harness]
    acme = "acme_harness"
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from harness.contracts import RunContext
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    GradientRuleSpec,
    MetricSpec,
    ModelSpec,
    ReporterSpec,
    SaliencySpec,
    ScenarioSpec,
)

PROJECT = "harness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def harness_datasets() -> Iterable[DatasetSpec]:
    """Datasets: native images with their truth.

    Example::

        import numpy as np
        from harness.api import Batch, ClassificationTarget, DatasetSpec, hookimpl

        class Gray:
            def __init__(self, params):
                self.params = params

            def __len__(self):
                return 4

            def batches(self, size, indices=None):
                wanted = list(range(4) if indices is None else indices)
                for start in range(0, len(wanted), size):
                    chosen = wanted[start:start + size]
                    images = [np.full((8, 8, 3), 60 * i, np.uint8) for i in chosen]
                    targets = [ClassificationTarget(label="dark" if i < 2 else "bright") for i in chosen]
                    yield Batch(images, targets, [f"gray-{i}" for i in chosen])

            def fingerprint(self):
                return ""

        @hookimpl
        def harness_datasets():
            return [DatasetSpec(name="gray", summary="Four gray images.", task="classification",
                                factory=f"{__name__}:Gray")]
    """


@hookspec
def harness_models() -> Iterable[ModelSpec]:
    """Models: how to find (and, for a trainable one, how to train) an ONNX file.

    Example::

        from pathlib import Path
        from harness.api import ModelFile, ModelSpec, Params, SuitePath, hookimpl

        class FolderParams(Params):
            folder: SuitePath
            \"\"\"Folder that holds <precision>.onnx; the file's metadata says the rest.\"\"\"

        def locate(params, request):
            return ModelFile(Path(params.folder) / f"{request.precision}.onnx")

        @hookimpl
        def harness_models():
            return [ModelSpec(name="folder", summary="An ONNX file per precision in a folder.",
                              params=FolderParams, locate=f"{__name__}:locate")]
    """


@hookspec
def harness_saliency() -> Iterable[SaliencySpec]:
    """Saliency generators: one map per image and class.

    Example::

        import numpy as np
        from harness.api import SaliencySpec, hookimpl

        class Corner:
            def __init__(self, params):
                pass

            def explain(self, model, inputs, classes, seeds):
                height, width = model.card.input.size
                maps = np.zeros((len(inputs), height, width), np.float32)
                maps[:, 0, 0] = 1
                return maps

        @hookimpl
        def harness_saliency():
            return [SaliencySpec(name="corner", summary="All saliency in the first pixel.", passes=0,
                                 factory=f"{__name__}:Corner")]
    """


@hookspec
def harness_metrics() -> Iterable[MetricSpec]:
    """Metrics: rows per sample, and numbers over rows.

    Example::

        import numpy as np
        from harness.api import MetricSpec, Scalar, Summary, Table, hookimpl

        class Confidence:
            def __init__(self, params):
                pass

            def measure(self, samples):
                logits = samples.predictions.dense("logits")
                odds = np.exp(logits - logits.max(axis=1, keepdims=True))
                return Table({"confidence": (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)})

            def summarize(self, rows):
                confidence = rows.dense("confidence")
                return Summary({"": Scalar(value=float(confidence.mean()), n=len(confidence))})

        @hookimpl
        def harness_metrics():
            return [MetricSpec(name="confidence", summary="Mean top-1 probability.",
                               tasks=frozenset({"classification"}), factory=f"{__name__}:Confidence")]
    """


@hookspec
def harness_backends() -> Iterable[BackendSpec]:
    """Backends: what executes a model file.

    Example::

        import numpy as np
        from harness.api import BackendSpec, TensorInfo, hookimpl

        class Session:
            runs_on = "zeros"
            inputs = (TensorInfo("image", "float32", ("batch", 3, 8, 8)),)
            outputs = (TensorInfo("logits", "float32", ("batch", 2)),)

            def run(self, feeds):
                return {"logits": np.zeros((len(feeds["image"]), 2), np.float32)}

            def bind(self, feeds):
                return lambda: self.run(feeds)

            def close(self):
                pass

        class Zeros:
            def __init__(self, params):
                pass

            def unavailable(self):
                return None

            def versions(self):
                return {"zeros": "1"}

            def open(self, path, *, threads):
                return Session()

        @hookimpl
        def harness_backends():
            return [BackendSpec(name="zeros", summary="Always answers zero.", factory=f"{__name__}:Zeros")]
    """


@hookspec
def harness_scenarios() -> Iterable[ScenarioSpec]:
    """Scenarios: when queries are issued and timed.

    Example::

        import time
        import numpy as np
        from harness.api import ScenarioSpec, Timing, hookimpl

        class Once:
            rounds = 1

            def __init__(self, params):
                pass

            def measure(self, subject, turn):
                cpu, start = time.process_time_ns(), time.perf_counter_ns()
                subject.query()
                elapsed = time.perf_counter_ns() - start
                return Timing(np.array([elapsed]), elapsed, time.process_time_ns() - cpu, warmup_queries=0)

            def invalidity(self, turns):
                return None

        @hookimpl
        def harness_scenarios():
            return [ScenarioSpec(name="once", summary="A single cold query.", factory=f"{__name__}:Once")]
    """


@hookspec
def harness_executors() -> Iterable[ExecutorSpec]:
    """Executors: where and in which order groups of cells run.

    Example::

        from harness.api import ExecutorSpec, hookimpl

        class Reversed:
            def __init__(self, params):
                pass

            def run(self, groups, progress):
                for group in reversed(groups):
                    yield group.execute(progress)

        @hookimpl
        def harness_executors():
            return [ExecutorSpec(name="reversed", summary="In this process, last group first.",
                                 factory=f"{__name__}:Reversed")]
    """


@hookspec
def harness_reporters() -> Iterable[ReporterSpec]:
    """Reporters: files made from the results of a run.

    Example::

        from harness.api import ReporterSpec, hookimpl

        class Keys:
            def __init__(self, params):
                pass

            def render(self, run):
                return {"keys.txt": "".join(f"{cell.key}\\n" for cell in run.results.cells)}

        @hookimpl
        def harness_reporters():
            return [ReporterSpec(name="keys", summary="The keys of all cells.", factory=f"{__name__}:Keys")]
    """


@hookspec
def harness_gradient_rules() -> Iterable[GradientRuleSpec]:
    """Gradient rules: how to differentiate an ONNX operator, for saliency on graphs that contain it.

    Example::

        from harness.api import GradientRuleSpec, hookimpl

        def halve(context):
            return [context.op("Mul", context.dy, context.number(0.5))]

        @hookimpl
        def harness_gradient_rules():
            return [GradientRuleSpec(name="Halve", domain="com.acme", summary="Half of the incoming gradient.",
                                     factory=f"{__name__}:halve")]
    """


@hookspec
def harness_run_started(context: RunContext) -> None:
    """Called once, before the first cell.

    Example::

        import sys
        from harness.api import hookimpl

        @hookimpl
        def harness_run_started(context):
            print(f"{len(context.keys)} cells", file=sys.stderr)
    """


@hookspec
def harness_cell_finished(context: RunContext) -> None:
    """Called after each cell, with `context.result`; an exception is recorded and the run goes on.

    Example::

        import sys
        from harness.api import hookimpl

        @hookimpl
        def harness_cell_finished(context):
            print(context.result.key, context.result.status, file=sys.stderr)
    """


@hookspec
def harness_run_finished(context: RunContext) -> None:
    """Called once, with `context.results`, after results.json is written.

    Example::

        import sys
        from harness.api import hookimpl

        @hookimpl
        def harness_run_finished(context):
            print(f"{len(context.results.cells)} results in {context.directory}", file=sys.stderr)
    """
