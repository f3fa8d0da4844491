"""Parameters of the backends."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from harness.api import Params


class EagerParams(Params):
    """torch as it runs without a compiler. A detector is timed without its suppression, which is none of torch's."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it runs."""
    channels_last: bool = True
    """Memory layout that convolutions on the CPU prefer."""
    bf16: bool = False
    """Convolutions and matrix products in bfloat16 (autocast); no longer comparable to fp32."""
    fp16: bool = False
    """On a GPU: convolutions and matrix products in float16 (autocast); no longer comparable to fp32."""
    tf32: bool = False
    """On a GPU: round float32 products to 10 bits of mantissa; no longer comparable to fp32."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name, instead in (("fp16", "bf16 = true"), ("tf32", "no tf32")):
            if getattr(self, name) and self.device == "cpu":
                raise ValueError(f'{name} needs device = "cuda": CPUs have no such arithmetic in torch; set {instead}')
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16: a product has one type; set one of them")
        return self


class CompileParams(EagerParams):
    """torch.compile by inductor; needs a C++ compiler, on a GPU also Triton."""

    freezing: bool = True
    """Weights are constants of the compiled program: what makes it fastest, where they never change."""
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "default"
    """reduce-overhead replays CUDA graphs; max-autotune tries kernels for minutes."""
