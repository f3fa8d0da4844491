"""The way back of any operator that only moves elements: see where it moves their positions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.onnx.gradient.context import Context


def scattered(ctx: Context, move: Callable[[str], str]) -> str:
    """dy with every element added to where it came from, in the shape of the first input.

    move: appends the operator for an int64 tensor of the shape of the first input; elements that the operator makes up
    must come out as 0. Slower than a rule of its own, but right for all attributes and unknown dimensions.
    """
    one, all_ = ctx.graph.constant(np.int64(1)), ctx.ints(-1)
    behind = ctx.op("Add", ctx.op("Size", ctx.x), one)
    numbers = ctx.reshaped_like(ctx.op("Range", one, behind, one), ctx.x)
    came_from = ctx.op("Reshape", move(numbers), all_)
    nothing = ctx.op("Expand", ctx.number(0), ctx.op("Unsqueeze", behind, ctx.ints(0)))
    added = ctx.op("ScatterElements", nothing, came_from, ctx.op("Reshape", ctx.dy, all_), axis=0, reduction="add")
    return ctx.reshaped_like(ctx.op("Slice", added, ctx.ints(1), ctx.ints(2**62)), ctx.x)
