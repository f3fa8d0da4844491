"""Execution providers: which of them really work on this machine, and why not."""

from __future__ import annotations

import ctypes
import io
import re
import sys
from contextlib import redirect_stdout
from typing import Any

from harness.onnx.runtime import FATAL, onnxruntime, runtime_errors

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_NVIDIA = frozenset({CUDA, TENSORRT})


def provider_problem(provider: str) -> str | None:
    """Why `provider` can not be used on this machine, with what to install; None when it works.

    An NVIDIA provider is tried on a graph of one node, because onnxruntime lists CUDA and TensorRT wherever it was
    built with them and then runs on the CPU. The trial initializes CUDA: make it in the process that will run.
    """
    ort = onnxruntime()
    if provider not in ort.get_available_providers():
        return f"the installed onnxruntime {ort.__version__} is built without {provider}{_install(provider)}"
    if provider not in _NVIDIA:
        return None
    if nvidia_devices() == 0:
        return f"{provider} needs an NVIDIA GPU with its driver, and none was found on this machine"
    missing = preload_libraries()
    if _actual_provider(provider) == provider:
        return None
    named = f" ({missing})" if missing else ""
    return f"the libraries of {provider} can not be loaded{named}{_install(provider)}"


def nvidia_devices() -> int:
    """How many NVIDIA GPUs the driver reports, through NVML: CUDA itself would be unusable after a fork."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint(0)
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return 0
    return count.value


def preload_libraries() -> str | None:
    """Load the CUDA and cuDNN wheels that are installed; the names of the libraries that could not be loaded."""
    printed = io.StringIO()
    with redirect_stdout(printed):  # it reports by print()
        onnxruntime().preload_dlls()
    return ", ".join(re.findall(r"Failed to load (\S+?):", printed.getvalue())) or None


def provider_versions(provider: str) -> dict[str, str]:
    """Versions that can change what a model computes on `provider`."""
    ort = onnxruntime()
    versions = {"onnxruntime": str(ort.__version__)}
    if provider in _NVIDIA:
        from importlib import metadata

        versions["cuda"] = str(ort.cuda_version)
        for distribution in metadata.distributions():
            if distribution.name.lower().startswith(("nvidia-cudnn", "nvidia-cublas", "tensorrt")):
                versions[distribution.name.lower()] = distribution.version
    return versions


def session_options(*, threads: int, inter_threads: int = 1, allow_spinning: bool = False,
                    optimization: str = "all") -> Any:
    """onnxruntime.SessionOptions with everything explicit that its defaults would take from the machine.

    Spinning threads burn CPU between queries and disturb each other when two sessions live in one process.
    """
    ort = onnxruntime()
    levels = ort.GraphOptimizationLevel
    options = ort.SessionOptions()
    options.graph_optimization_level = {
        "none": levels.ORT_DISABLE_ALL, "basic": levels.ORT_ENABLE_BASIC, "extended": levels.ORT_ENABLE_EXTENDED,
        "all": levels.ORT_ENABLE_ALL,
    }[optimization]
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = inter_threads
    options.log_severity_level = FATAL
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "1" if allow_spinning else "0")
    return options


def _actual_provider(provider: str) -> str:
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    try:
        session = onnxruntime().InferenceSession(
            model.SerializeToString(), session_options(threads=1), providers=[provider], enable_fallback=0)
    except runtime_errors():
        return CPU
    return str(session.get_providers()[0])


def _install(provider: str) -> str:
    if provider == CUDA:
        return ": pip install 'vision-harness[cuda]' (and uninstall onnxruntime, if it is there beside onnxruntime-gpu)"
    if provider == TENSORRT:
        return ": pip install 'vision-harness[cuda]' and make TensorRT's libnvinfer loadable"
    return ": install an onnxruntime that has it"
