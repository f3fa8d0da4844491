"""Rules of reductions. Axes are an input (or an attribute), constant or computed; none means all."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("ReduceSum")
def reduce_sum(ctx: Context) -> Sequence[str | None]:
    return [_repeated(ctx, _kept(ctx, ctx.dy))]


@rule("ReduceMean")
def reduce_mean(ctx: Context) -> Sequence[str | None]:
    return [_repeated(ctx, ctx.op("Div", _kept(ctx, ctx.dy), _count(ctx)))]


@rule("ReduceMax", "ReduceMin")
def reduce_extremum(ctx: Context) -> Sequence[str | None]:
    """Shared equally among all elements that attain the extremum, as torch.amax does."""
    extreme = ctx.op("Cast", ctx.op("Equal", ctx.x, _kept(ctx, ctx.y)), to=ctx.onnx_type(ctx.x))
    share = ctx.op("Div", _kept(ctx, ctx.dy), _reduced(ctx, "ReduceSum", extreme))
    return [ctx.op("Mul", extreme, share)]


@rule("ReduceProd")
def reduce_prod(ctx: Context) -> Sequence[str | None]:
    """dy times the product of all other elements, which is right where an element is zero, too."""
    zero, one = ctx.number(0), ctx.number(1)
    empty = ctx.op("Equal", ctx.x, zero)
    others = ctx.op("Where", empty, one, ctx.x)
    zeros = _reduced(ctx, "ReduceSum", ctx.op("Where", empty, one, zero))
    # One zero: only its own derivative is left. More: none is.
    alive = ctx.op("Equal", zeros, ctx.op("Where", empty, one, zero))
    product = ctx.op("Div", _reduced(ctx, "ReduceProd", others), others)
    return [ctx.op("Where", alive, ctx.op("Mul", product, _kept(ctx, ctx.dy)), zero)]


@rule("ReduceL1")
def reduce_l1(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.op("Sign", ctx.x), _kept(ctx, ctx.dy))]


@rule("ReduceL2")
def reduce_l2(ctx: Context) -> Sequence[str | None]:
    """dy x / y, and 0 where y is 0."""
    norm = _kept(ctx, ctx.y)
    safe = ctx.op("Where", ctx.op("Equal", norm, ctx.number(0)), ctx.number(1), norm)
    return [ctx.op("Mul", ctx.x, ctx.op("Div", _kept(ctx, ctx.dy), safe))]


@rule("ReduceSumSquare")
def reduce_sum_square(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.x, ctx.op("Mul", _kept(ctx, ctx.dy), ctx.number(2)))]


@rule("ReduceLogSum")
def reduce_log_sum(ctx: Context) -> Sequence[str | None]:
    return [_repeated(ctx, _kept(ctx, ctx.op("Div", ctx.dy, ctx.op("Exp", ctx.y))))]


@rule("ReduceLogSumExp")
def reduce_log_sum_exp(ctx: Context) -> Sequence[str | None]:
    softmax = ctx.op("Exp", ctx.op("Sub", ctx.x, _kept(ctx, ctx.y)))
    return [ctx.op("Mul", softmax, _kept(ctx, ctx.dy))]


def _axes(ctx: Context) -> str | None:
    """The tensor of axes, None for all."""
    attribute = ctx.attribute("axes")
    return ctx.ints(*attribute) if attribute else ctx.input(1)


def _known_axes(ctx: Context) -> tuple[int, ...] | None:
    """The axes that are reduced, None when they are not known; no axes can mean all or none."""
    given = _axes(ctx)
    axes = () if given is None else ctx.value(given)
    if axes is None:
        return None
    if len(axes) or ctx.attribute("noop_with_empty_axes", 0):
        return tuple(int(axis) for axis in axes)
    shape = ctx.shape(ctx.x)
    return None if shape is None else tuple(range(len(shape)))


def _kept(ctx: Context, value: str) -> str:
    """A tensor of the output's shape with the reduced dimensions as ones."""
    if ctx.attribute("keepdims", 1):
        return value
    axes = _known_axes(ctx)
    if axes is not None:
        return ctx.op("Unsqueeze", value, ctx.ints(*axes)) if axes else value
    return ctx.op("Reshape", value, ctx.op("Shape", _reduced(ctx, "ReduceSum", ctx.x)), allowzero=1)


def _reduced(ctx: Context, op_type: str, value: str) -> str:
    """The same reduction by another operator, dimensions kept."""
    return ctx.op(op_type, value, _axes(ctx), keepdims=1,
                  noop_with_empty_axes=ctx.attribute("noop_with_empty_axes"))


def _repeated(ctx: Context, value: str) -> str:
    return ctx.op("Expand", value, ctx.shape_of(ctx.x))


def _count(ctx: Context) -> str:
    """How many elements go into one mean."""
    shape, axes = ctx.shape(ctx.x), _known_axes(ctx)
    count = 1
    for axis in axes if shape is not None and axes is not None else ():
        dim = shape[axis] if shape is not None else None
        if not isinstance(dim, int):
            break
        count *= dim
    else:
        if shape is not None and axes is not None:
            return ctx.number(count)
    sizes = ctx.op("Div", ctx.op("Size", ctx.x), ctx.op("Size", ctx.y))
    return ctx.op("Cast", sizes, to=ctx.onnx_type(ctx.x))
