"""Rules of maximum pooling: the gradient goes to the first maximum of each window, as torch has it.

Runtimes pool fast, but with indices they do not (a 3x3 pooling of ResNet-18's stem takes 25 times as long). So where
sizes are known and windows small, maxima are found by comparison, one position of the windows after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where
from harness.onnx.gradient.phases import Phases
from harness.onnx.gradient.rules import rule
from harness.onnx.gradient.windows import spatial_sizes, windows

_MOST_COMPARISONS = 9


@rule("MaxPool")
def max_pool(ctx: Context) -> Sequence[str | None]:
    if ctx.attribute("storage_order", 0):
        raise ctx.error("storage_order = 1 is not covered")
    kernel, sizes = ctx.attribute("kernel_shape"), spatial_sizes(ctx, ctx.x)
    if sizes is not None and math.prod(kernel) <= _MOST_COMPARISONS and not ctx.attribute("ceil_mode", 0):
        phases = Phases(ctx, windows(ctx, kernel), sizes)
        if phases.complete:
            return [_compared(ctx, phases)]
    return [_scattered(ctx)]


@rule("GlobalMaxPool")
def global_max_pool(ctx: Context) -> Sequence[str | None]:
    rows = ctx.op("Reshape", ctx.x, ctx.ints(0, 0, -1))
    first = ctx.op("ArgMax", rows, axis=2, keepdims=1)
    dy = ctx.op("Reshape", ctx.dy, ctx.ints(0, 0, 1))
    zeros = ctx.op("Expand", ctx.number(0), ctx.op("Shape", rows))
    return [ctx.reshaped_like(ctx.op("ScatterElements", zeros, first, dy, axis=2), ctx.x)]


def _scattered(ctx: Context) -> str:
    """To the indices of the maxima, which count through the whole flattened input; overlaps add up.

    The indices come from a second pooling, so that the first one stays fast.
    """
    _, indices = ctx.ops("MaxPool", [ctx.x], 2, **ctx.attributes)
    minus_one = ctx.ints(-1)
    flat = ctx.op("Reshape", ctx.zeros_like(ctx.x), minus_one)
    summed = ctx.op("ScatterElements", flat, ctx.op("Reshape", indices, minus_one),
                    ctx.op("Reshape", ctx.dy, minus_one), axis=0, reduction="add")
    return ctx.reshaped_like(summed, ctx.x)


def _compared(ctx: Context, phases: Phases) -> str:
    """Position by position, in raster order: where x equals the maximum, what is left of dy is taken."""
    left, sums = ctx.dy, dict[tuple[int, ...], str]()
    *earlier, (residues, shifts) = phases.positions
    for place in earlier:
        hit = ctx.op("Equal", phases.seen(*place), ctx.y)
        taken = where(ctx, hit, left)
        left = ctx.op("Sub", left, taken)
        _accumulate(ctx, sums, place[0], phases.placed(taken, place[1]))
    _accumulate(ctx, sums, residues, phases.placed(left, shifts))
    return phases.merged(sums)


def _accumulate(ctx: Context, sums: dict[tuple[int, ...], str], key: tuple[int, ...], value: str) -> None:
    sums[key] = ctx.op("Add", sums[key], value) if key in sums else value
