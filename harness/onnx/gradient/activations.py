"""Rules of activation functions."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Relu")
def relu(ctx: Context) -> Sequence[str | None]:
    """dy where y > 0. Gated on the output, so that the runtime still fuses the activation into what is before it."""
    return [ctx.op("Mul", ctx.dy, ctx.op("Sign", ctx.y))]
