"""What executes and times: onnxruntime's execution providers, LoadGen's scenarios, the local executors."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import BackendSpec, ExecutorSpec, ScenarioSpec, hookimpl
from harness_runtime.params import (
    CpuParams,
    CudaParams,
    InlineParams,
    LocalParams,
    TensorrtParams,
)
from harness_runtime.scenario_params import (
    ColdStartParams,
    MultiStreamParams,
    OfflineParams,
    ServerParams,
    SingleStreamParams,
)

_PRECISIONS = frozenset({"fp32", "fp16", "int8"})


@hookimpl
def harness_backends() -> Iterable[BackendSpec]:
    return [
        BackendSpec(name="onnxruntime-cpu", summary="onnxruntime on the CPU.", params=CpuParams,
                    factory="harness_runtime.backends:CpuBackend", precisions=_PRECISIONS),
        BackendSpec(name="onnxruntime-cuda", summary="onnxruntime on an NVIDIA GPU.", params=CudaParams,
                    factory="harness_runtime.backends:CudaBackend", precisions=_PRECISIONS, device="cuda"),
        BackendSpec(name="onnxruntime-tensorrt", summary="onnxruntime's TensorRT provider on an NVIDIA GPU.",
                    params=TensorrtParams, factory="harness_runtime.backends:TensorrtBackend",
                    precisions=_PRECISIONS, device="cuda"),
    ]


@hookimpl
def harness_scenarios() -> Iterable[ScenarioSpec]:
    return [
        ScenarioSpec(name="single-stream", summary="Closed loop: the next query starts when the last has ended.",
                     params=SingleStreamParams, factory="harness_runtime.scenarios:SingleStream"),
        ScenarioSpec(name="multi-stream", summary="Closed loop: a query is one sample of each of several streams.",
                     params=MultiStreamParams, factory="harness_runtime.scenarios:MultiStream"),
        ScenarioSpec(name="offline", summary="All samples are there at once: throughput of batches back to back.",
                     params=OfflineParams, factory="harness_runtime.scenarios:Offline"),
        ScenarioSpec(name="server", summary="Open loop: Poisson arrivals, and a bound on a latency percentile.",
                     params=ServerParams, factory="harness_runtime.scenarios:Server", model_only=False),
        ScenarioSpec(name="cold-start", summary="A new session and its first inference.",
                     params=ColdStartParams, factory="harness_runtime.scenarios:ColdStart", model_only=False),
    ]


@hookimpl
def harness_executors() -> Iterable[ExecutorSpec]:
    return [
        ExecutorSpec(name="local", summary="Worker processes on this machine, latency alone.", params=LocalParams,
                     factory="harness_runtime.executors:LocalExecutor"),
        ExecutorSpec(name="inline", summary="In this process, for debugging.", params=InlineParams,
                     factory="harness_runtime.executors:InlineExecutor"),
    ]
