"""Parameters of the backends."""

from __future__ import annotations

from typing import Literal

from harness.api import Params


class EagerParams(Params):
    """torch as it runs without a compiler. A detector is timed without its suppression, which is none of torch's."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""
    channels_last: bool = True
    """Memory layout that convolutions on the CPU prefer."""
    bf16: bool = False
    """Convolutions and matrix products in bfloat16 (autocast); no longer comparable to fp32."""
    tf32: bool = False
    """On a GPU: round float32 products to 10 bits of mantissa; no longer comparable to fp32."""


class CompileParams(EagerParams):
    """torch.compile by inductor; needs a C++ compiler, on a GPU also Triton."""

    freezing: bool = True
    """Weights are constants of the compiled program: what makes it fastest, where they never change."""
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """reduce-overhead replays CUDA graphs; max-autotune tries kernels for minutes."""
