"""Rules of matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import sum_to, unbroadcast
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


@rule("MatMul")
def matmul(ctx: Context) -> Sequence[str | None]:
    """As numpy.matmul: a vector counts as a matrix with one row (left) or column (right), stacks are broadcast."""
    a, b = ctx.node.input
    vector_a, vector_b = ctx.rank(a) == 1, ctx.rank(b) == 1
    dy = ctx.op("Unsqueeze", ctx.dy, ctx.ints(-1)) if vector_b else ctx.dy
    dy = ctx.op("Unsqueeze", dy, ctx.ints(-2)) if vector_a else dy
    da = db = None
    if ctx.needs(0):
        other = ctx.op("Unsqueeze", b, ctx.ints(0)) if vector_b else _swapped(ctx, b)
        da = _fitted(ctx, ctx.op("MatMul", dy, other), a, -2 if vector_a else None)
    if ctx.needs(1):
        other = ctx.op("Unsqueeze", a, ctx.ints(1)) if vector_a else _swapped(ctx, a)
        db = _fitted(ctx, ctx.op("MatMul", other, dy), b, -1 if vector_b else None)
    return [da, db]


def _swapped(ctx: Context, matrix: str) -> str:
    """With the last two axes exchanged."""
    rank = ctx.rank(matrix)
    return ctx.op("Transpose", matrix, perm=[*range(rank - 2), rank - 1, rank - 2])


def _fitted(ctx: Context, gradient: str, to: str, extra: int | None) -> str:
    """Without the axis that made a vector a matrix, summed over stacks that were broadcast."""
    if extra is not None:
        gradient = ctx.op("Squeeze", gradient, ctx.ints(extra))
    y, target = ctx.shape(ctx.y), ctx.shape(to)
    if y is None or target is None:
        return sum_to(ctx, gradient, None, to)
    matrix = sum(ctx.rank(name) > 1 for name in ctx.node.input)
    return sum_to(ctx, gradient, (*y[:len(y) - matrix], *target[-2:]), to)
