"""Rules of softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Softmax")
def softmax(ctx: Context) -> Sequence[str | None]:
    """y (dy - sum(dy y)), the sum over the axis."""
    axis = ctx.ints(ctx.attribute("axis", -1))
    weighted = ctx.op("Mul", ctx.dy, ctx.y)
    total = ctx.op("ReduceSum", weighted, axis, keepdims=1)
    return [ctx.op("Sub", weighted, ctx.op("Mul", ctx.y, total))]


@rule("LogSoftmax")
def log_softmax(ctx: Context) -> Sequence[str | None]:
    """dy - exp(y) sum(dy), the sum over the axis."""
    total = ctx.op("ReduceSum", ctx.dy, ctx.ints(ctx.attribute("axis", -1)), keepdims=1)
    return [ctx.op("Sub", ctx.dy, ctx.op("Mul", ctx.op("Exp", ctx.y), total))]
