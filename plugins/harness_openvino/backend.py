"""OpenVINO as a contracts.Backend: what it really compiled is read from its runtime model, never assumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import (
    BackendUnavailable,
    CellError,
    InferenceSession,
    MissingDependency,
    ModelFileError,
    TensorInfo,
    checked_feeds,
)
from harness_openvino.params import OpenVinoParams

Array = NDArray[Any]
_LAYERS = frozenset({"Convolution", "ConvolutionBackpropData", "Deconvolution", "FullyConnected", "MatMul",
                     "GroupConvolution"})
_TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "int8"}


class OpenVinoBackend:
    """A contracts.Backend."""

    def __init__(self, params: OpenVinoParams) -> None:
        self._params = params

    def unavailable(self) -> str | None:
        if find_spec("openvino") is None:
            return str(MissingDependency("openvino", "openvino", "the backend"))
        return None

    def versions(self) -> dict[str, str]:
        try:
            return {"openvino": version("openvino")}
        except PackageNotFoundError:
            return {"openvino": "not installed"}

    def open(self, path: Path, *, threads: int) -> InferenceSession:
        """Raises ModelFileError for a file that OpenVINO can not read or compile."""
        if (reason := self.unavailable()) is not None:
            raise BackendUnavailable(reason)
        import openvino

        if not path.is_file():
            raise ModelFileError(f"{path}: no such model file")
        core = openvino.Core()
        try:
            return OpenVinoSession(path, core, core.read_model(str(path)), self._settings(threads),
                                   static_shapes=self._params.static_shapes)
        except RuntimeError as error:
            raise ModelFileError(f"{path}: OpenVINO can not use it: {_short(error)}") from error

    def _settings(self, threads: int) -> dict[str, Any]:
        params = self._params
        return {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": params.streams, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": params.precision_hint, "ENABLE_CPU_PINNING": params.pinning,
                "ENABLE_HYPER_THREADING": params.hyper_threading}


class OpenVinoSession:
    """A contracts.InferenceSession over one compiled model."""

    def __init__(self, path: Path, core: Any, model: Any, settings: Mapping[str, Any], *, static_shapes: bool) -> None:
        self.path, self._core, self._model, self._settings = path, core, model, settings
        self._static_shapes = static_shapes
        self.inputs: Sequence[TensorInfo] = [_info(port) for port in model.inputs]
        self.outputs: Sequence[TensorInfo] = [_info(port) for port in model.outputs]
        self._compiled = self._compile(model)
        self.runs_on = f"OpenVINO {', '.join(self._compiled.get_property('EXECUTION_DEVICES'))}"
        self._request = self._compiled.create_infer_request()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name; the arrays belong to the caller. Raises ModelFileError when feeds do not fit."""
        import openvino

        fitted = checked_feeds(self.path, self.inputs, self.outputs, feeds)
        try:
            for name, array in fitted.items():
                self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
            self._request.infer()
        except RuntimeError as error:
            raise CellError(f"{self.path}: OpenVINO failed while running it: {_short(error)}") from error
        return {info.name: np.array(self._request.get_tensor(info.name).data) for info in self.outputs}

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], None]:
        """A call that repeats one inference on tensors that are set once."""
        import openvino

        fitted = checked_feeds(self.path, self.inputs, self.outputs, feeds)
        try:
            request = self._bound_model(fitted).create_infer_request()
            for name, array in fitted.items():
                request.set_tensor(name, openvino.Tensor(array))
            request.infer()
        except RuntimeError as error:
            raise CellError(f"{self.path}: OpenVINO failed while running it: {_short(error)}") from error
        query: Callable[[], None] = request.infer
        return query

    def executed(self) -> Mapping[str, int]:
        """Layers with weights by the type that the runtime model says they are computed in."""
        found: dict[str, int] = {}
        for operation in self._compiled.get_runtime_model().get_ordered_ops():
            info = operation.get_rt_info()
            if str(info["layerType"].value if hasattr(info["layerType"], "value") else info["layerType"]) in _LAYERS:
                kind = info["runtimePrecision"]
                name = str(kind.value if hasattr(kind, "value") else kind)
                found[_TYPES.get(name, name)] = found.get(_TYPES.get(name, name), 0) + 1
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def close(self) -> None:
        """Free the model, once no bound call is held any more."""
        self._request = self._compiled = self._model = None

    def _bound_model(self, fitted: Mapping[str, Array]) -> Any:
        if not self._static_shapes or all(port.partial_shape.is_static for port in self._model.inputs):
            return self._compiled
        model = self._model.clone()
        model.reshape({name: list(array.shape) for name, array in fitted.items()})
        return self._compile(model)

    def _compile(self, model: Any) -> Any:
        return self._core.compile_model(model, "CPU", dict(self._settings))


def _info(port: Any) -> TensorInfo:
    shape = tuple(int(dim.get_length()) if dim.is_static else None for dim in port.partial_shape)
    return TensorInfo(port.any_name, np.dtype(port.element_type.to_dtype()).name, shape)


def _short(error: Exception) -> str:
    """OpenVINO reports the places in its own sources, line by line; the last line says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[-2:])[:300]
