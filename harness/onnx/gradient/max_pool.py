"""Rules of maximum pooling: the gradient goes to the first maximum of each window, as torch has it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("MaxPool")
def max_pool(ctx: Context) -> Sequence[str | None]:
    """Scattered to the indices of the maxima, which count through the whole flattened input; overlaps add up.

    The indices come from a second pooling: with them the runtimes' fast forward kernels would be lost.
    """
    if ctx.attribute("storage_order", 0):
        raise ctx.error("storage_order = 1 is not covered")
    _, indices = ctx.ops("MaxPool", [ctx.x], 2, **ctx.attributes)
    minus_one = ctx.ints(-1)
    flat = ctx.op("Reshape", ctx.zeros_like(ctx.x), minus_one)
    scattered = ctx.op("ScatterElements", flat, ctx.op("Reshape", indices, minus_one),
                       ctx.op("Reshape", ctx.dy, minus_one), axis=0, reduction="add")
    return [ctx.reshaped_like(scattered, ctx.x)]


@rule("GlobalMaxPool")
def global_max_pool(ctx: Context) -> Sequence[str | None]:
    rows = ctx.op("Reshape", ctx.x, ctx.ints(0, 0, -1))
    first = ctx.op("ArgMax", rows, axis=2, keepdims=1)
    dy = ctx.op("Reshape", ctx.dy, ctx.ints(0, 0, 1))
    zeros = ctx.op("Expand", ctx.number(0), ctx.op("Shape", rows))
    return [ctx.reshaped_like(ctx.op("ScatterElements", zeros, first, dy, axis=2), ctx.x)]
