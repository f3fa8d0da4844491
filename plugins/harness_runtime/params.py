"""Parameters of the backends and the executors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.api import Params

Optimization = Literal["none", "basic", "extended", "all"]


class OnnxRuntimeParams(Params):
    """What every execution provider of onnxruntime takes."""

    optimization: Optimization = "all"
    """Graph optimizations; "extended" costs about a third of the speed of "all" on a CPU."""
    allow_spinning: bool = False
    """Let idle threads spin: faster with several threads on an idle machine, harmful beside anything else."""


class CpuParams(OnnxRuntimeParams):
    """onnxruntime on the CPU."""

    inter_threads: int = Field(1, gt=0)
    """Operators that run at a time; more than one rarely helps a vision model."""
    preoptimize: bool = False
    """Open the graph as onnxruntime optimized it once for this CPU, from the cache: sessions start faster, and run as
    fast."""
    tune: bool = False
    """Choose threads (at most those of the cell), spinning, optimization and with it the memory layout by measuring
    one sample when the model is opened; what was chosen is recorded. The keys above then have no effect."""


class CudaParams(OnnxRuntimeParams):
    """onnxruntime on an NVIDIA GPU."""

    device_id: int = Field(0, ge=0)
    """Which GPU."""
    use_tf32: bool = False
    """Round float32 products to 10 bits of mantissa: faster, and no longer comparable to fp32."""
    cudnn_conv_algo_search: Literal["HEURISTIC", "EXHAUSTIVE", "DEFAULT"] = "HEURISTIC"
    """EXHAUSTIVE takes seconds for each new input shape; DEFAULT can be many times slower."""
    cuda_graph: bool = False
    """Replay a captured graph: static shapes, every node on the GPU, no control flow; helps small batches."""
    gpu_mem_limit_mb: int | None = Field(None, gt=0)
    """Upper bound of onnxruntime's memory arena; by default what the GPU has."""

    def provider_options(self) -> dict[str, Any]:
        """As onnxruntime names them; everything explicit that changes numbers."""
        options: dict[str, Any] = {
            "device_id": self.device_id, "use_tf32": int(self.use_tf32),
            "cudnn_conv_algo_search": self.cudnn_conv_algo_search, "enable_cuda_graph": int(self.cuda_graph),
        }
        if self.gpu_mem_limit_mb is not None:
            options["gpu_mem_limit"] = self.gpu_mem_limit_mb * 2**20
        return options


class TensorrtParams(OnnxRuntimeParams):
    """onnxruntime's TensorRT provider on an NVIDIA GPU."""

    device_id: int = Field(0, ge=0)
    """Which GPU."""
    fp16: bool = False
    """Let TensorRT choose half precision where it is faster; the cell is no longer fp32 then."""
    workspace_mb: int = Field(1024, gt=0)
    """Scratch memory that TensorRT may use while it builds an engine."""

    def provider_options(self) -> dict[str, Any]:
        """As onnxruntime names them."""
        return {"device_id": self.device_id, "trt_fp16_enable": int(self.fp16),
                "trt_max_workspace_size": self.workspace_mb * 2**20}


class LocalParams(Params):
    """Worker processes on this machine."""

    workers: int = Field(1, gt=0)
    """Groups that run at a time; latency groups are always alone."""
    timeout: float | None = Field(None, gt=0)
    """Seconds a group may take before it is ended and reported as failed; no limit by default."""


class InlineParams(Params):
    """Everything in this process."""
