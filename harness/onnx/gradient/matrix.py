"""Rules of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Gemm")
def gemm(ctx: Context) -> Sequence[str | None]:
    """Y = alpha A' B' + beta C with A' = A or its transpose, B' likewise."""
    trans_a, trans_b = ctx.attribute("transA", 0), ctx.attribute("transB", 0)
    alpha, beta = ctx.attribute("alpha", 1.0), ctx.attribute("beta", 1.0)
    a, b, c = ctx.node.input[0], ctx.node.input[1], ctx.input(2)
    da = db = dc = None
    if ctx.needs(0):
        da = (ctx.op("Gemm", b, ctx.dy, transA=trans_b, transB=1, alpha=alpha) if trans_a
              else ctx.op("Gemm", ctx.dy, b, transB=1 - trans_b, alpha=alpha))
    if ctx.needs(1):
        db = (ctx.op("Gemm", ctx.dy, a, transA=1, transB=trans_a, alpha=alpha) if trans_b
              else ctx.op("Gemm", a, ctx.dy, transA=1 - trans_a, alpha=alpha))
    if ctx.needs(2) and c:
        dc = unbroadcast(ctx, ctx.dy if beta == 1 else ctx.op("Mul", ctx.dy, ctx.number(beta)), to=c)
    return [da, db, dc]
