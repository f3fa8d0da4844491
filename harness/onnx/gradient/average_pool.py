"""Rules of average and Lp pooling: windows share their gradient among their positions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import TensorProto

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where
from harness.onnx.gradient.rules import rule
from harness.onnx.gradient.windows import Windows, scattered, spatial_sizes, windows


@rule("AveragePool")
def average_pool(ctx: Context) -> Sequence[str | None]:
    """dy / number of positions that the window counts, to each of its positions."""
    geometry = windows(ctx, ctx.attribute("kernel_shape"))
    padded = bool(ctx.attribute("count_include_pad", 0))
    full = not geometry.ceil and (padded or not any((*geometry.begins, *geometry.ends)))
    count = ctx.number(math.prod(geometry.kernel)) if full else _counts(ctx, geometry, padded=padded)
    return [spread(ctx, ctx.op("Div", ctx.dy, count), geometry)]


@rule("GlobalAveragePool")
def global_average_pool(ctx: Context) -> Sequence[str | None]:
    sizes = spatial_sizes(ctx, ctx.x)
    if sizes is not None:
        count = ctx.number(math.prod(sizes))
    else:
        count = ctx.op("CastLike", ctx.op("ReduceProd", ctx.op("Shape", ctx.x, start=2), keepdims=0), ctx.dy)
    return [ctx.op("Expand", ctx.op("Div", ctx.dy, count), ctx.shape_of(ctx.x))]


@rule("LpPool")
def lp_pool(ctx: Context) -> Sequence[str | None]:
    """y = (sum |x|^p)^(1/p): sign(x) |x|^(p - 1) y^(1 - p) dy, 0 where y = 0."""
    geometry = windows(ctx, ctx.attribute("kernel_shape"))
    return [ctx.op("Mul", _lp_slope(ctx), spread(ctx, _lp_share(ctx), geometry))]


@rule("GlobalLpPool")
def global_lp_pool(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", _lp_slope(ctx), _lp_share(ctx))]


def spread(ctx: Context, dy: str, geometry: Windows) -> str:
    """The sum, at each position of x, of dy over the windows that contain it."""
    sizes = spatial_sizes(ctx, ctx.x)
    if sizes is not None and _tile(geometry, sizes):
        return ctx.op("Resize", dy, None, None, ctx.shape_of(ctx.x), mode="nearest", nearest_mode="floor",
                      coordinate_transformation_mode="asymmetric")
    if set(geometry.strides) == set(geometry.dilations) == {1} and not geometry.ceil:
        pads = [r - p for ps in (geometry.begins, geometry.ends) for r, p in zip(geometry.reach, ps, strict=True)]
        mean = ctx.op("AveragePool", dy, kernel_shape=geometry.kernel, pads=pads, count_include_pad=1)
        return ctx.op("Mul", mean, ctx.number(math.prod(geometry.kernel)))
    # Channels become samples, so that one kernel serves any number of them.
    alone = ctx.op("Reshape", dy, ctx.op("Concat", ctx.ints(-1, 1), ctx.op("Shape", dy, start=2), axis=0))
    ones = ctx.constant(np.ones((1, 1, *geometry.kernel)))
    return ctx.reshaped_like(scattered(ctx, alone, ones, geometry), ctx.x)


def _tile(geometry: Windows, sizes: Sequence[int]) -> bool:
    """Whether every position belongs to exactly one window."""
    whole = all(size % kernel == 0 for size, kernel in zip(sizes, geometry.kernel, strict=True))
    dense = geometry.kernel == geometry.strides and set(geometry.dilations) == {1}
    return whole and dense and not any((*geometry.begins, *geometry.ends))


def _counts(ctx: Context, geometry: Windows, *, padded: bool) -> str:
    """(windows...) how many positions each window counts: those inside of x, or of x with its padding."""
    counts = [_axis_counts(ctx, geometry, axis, padded=padded) for axis in range(geometry.rank)]
    product = counts[0]
    for count in counts[1:]:
        product = ctx.op("Mul", ctx.op("Unsqueeze", product, ctx.ints(-1)), count)
    return ctx.op("CastLike", product, ctx.dy)


def _axis_counts(ctx: Context, geometry: Windows, axis: int, *, padded: bool) -> str:
    begin, end, number = geometry.begins[axis], geometry.ends[axis], ctx.graph.constant
    index = ctx.graph.constant(np.int64(axis + 2))
    size = ctx.op("Gather", ctx.shape_of(ctx.x), index)
    # With ceil_mode onnx's shape inference may count a last window that starts behind x, and that runtimes leave out.
    many = ctx.op("Gather", ctx.op("Shape", ctx.dy) if geometry.ceil else ctx.shape_of(ctx.y), index)
    starts = ctx.op("Mul", ctx.op("Range", number(np.int64(0)), many, number(np.int64(1))),
                    number(np.int64(geometry.strides[axis])))
    steps = ctx.ints(*(step * geometry.dilations[axis] for step in range(geometry.kernel[axis])))
    positions = ctx.op("Add", ctx.op("Unsqueeze", starts, ctx.ints(1)), steps)
    stop = ctx.op("Add", size, number(np.int64(begin + (end if padded else 0))))
    inside = ctx.op("Less", positions, stop)
    if not padded:
        inside = ctx.op("And", inside, ctx.op("GreaterOrEqual", positions, number(np.int64(begin))))
    return ctx.op("ReduceSum", ctx.op("Cast", inside, to=TensorProto.INT64), ctx.ints(1), keepdims=0)


def _lp_slope(ctx: Context) -> str:
    """sign(x) |x|^(p - 1)."""
    power = ctx.attribute("p", 2)
    if power == 2:
        return ctx.x
    sign = ctx.op("Sign", ctx.x)
    return sign if power == 1 else ctx.op("Mul", sign, _power(ctx, ctx.op("Abs", ctx.x), power - 1))


def _lp_share(ctx: Context) -> str:
    """y^(1 - p) dy, 0 where y = 0."""
    power = ctx.attribute("p", 2)
    if power == 1:
        return ctx.dy
    empty = ctx.op("Equal", ctx.y, ctx.number(0))
    safe = where(ctx, empty, ctx.number(1), ctx.y)
    return where(ctx, empty, ctx.number(0), ctx.op("Div", ctx.dy, _power(ctx, safe, power - 1)))


def _power(ctx: Context, base: str, exponent: int) -> str:
    return base if exponent == 1 else ctx.op("Pow", base, ctx.number(exponent))
