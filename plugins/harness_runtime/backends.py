"""onnxruntime's execution providers as backends; the mechanism is the harness's own ONNX session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.api import InferenceSession, open_session, preoptimized, provider_problem, provider_versions, tuned_session
from harness_runtime.params import CpuParams, CudaParams, OnnxRuntimeParams, TensorrtParams


class _OnnxRuntimeBackend:
    """A contracts.Backend for one provider."""

    provider: str

    def __init__(self, params: OnnxRuntimeParams) -> None:
        self._params = params

    def unavailable(self) -> str | None:
        return provider_problem(self.provider)

    def versions(self) -> dict[str, str]:
        return provider_versions(self.provider)

    def open(self, path: Path, *, threads: int) -> InferenceSession:
        return open_session(path, provider=self.provider, threads=threads, optimization=self._params.optimization,
                            allow_spinning=self._params.allow_spinning, **self._options())

    def _options(self) -> dict[str, Any]:
        return {}


class CpuBackend(_OnnxRuntimeBackend):
    """CPUExecutionProvider."""

    provider = "CPUExecutionProvider"
    _params: CpuParams

    def open(self, path: Path, *, threads: int) -> InferenceSession:
        if self._params.tune:
            return tuned_session(path, threads)
        if not self._params.preoptimize:
            return super().open(path, threads=threads)
        return open_session(preoptimized(path, self._params.optimization), threads=threads, optimization="none",
                            allow_spinning=self._params.allow_spinning, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"inter_threads": self._params.inter_threads}


class CudaBackend(_OnnxRuntimeBackend):
    """CUDAExecutionProvider."""

    provider = "CUDAExecutionProvider"
    _params: CudaParams

    def _options(self) -> dict[str, Any]:
        return {"provider_options": self._params.provider_options()}


class TensorrtBackend(_OnnxRuntimeBackend):
    """TensorrtExecutionProvider."""

    provider = "TensorrtExecutionProvider"
    _params: TensorrtParams

    def _options(self) -> dict[str, Any]:
        return {"provider_options": self._params.provider_options()}
