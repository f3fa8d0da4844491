"""Rules of operators on shapes, which move, repeat, choose or convert elements."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(ctx: Context) -> Sequence[str | None]:
    return [ctx.reshaped_like(ctx.dy, ctx.x)]


@rule("Transpose")
def transpose(ctx: Context) -> Sequence[str | None]:
    perm = ctx.attribute("perm")
    inverse = None if perm is None else [perm.index(axis) for axis in range(len(perm))]
    return [ctx.op("Transpose", ctx.dy, perm=inverse)]


@rule("Identity")
def identity(ctx: Context) -> Sequence[str | None]:
    return [ctx.dy]


@rule("Dropout")
def dropout(ctx: Context) -> Sequence[str | None]:
    """The identity of inference. Raises GradientError in training mode."""
    training = ctx.input(2)
    value = ctx.value(training)
    if training is not None and (value is None or value.any()):
        raise ctx.error("it may drop elements; export the network in evaluation mode")
    return [ctx.dy]


@rule("Cast", "CastLike")
def cast(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Cast", ctx.dy, to=ctx.onnx_type(ctx.x))]


@rule("Expand")
def expand(ctx: Context) -> Sequence[str | None]:
    return [unbroadcast(ctx, ctx.dy, to=ctx.x)]


@rule("Tile")
def tile(ctx: Context) -> Sequence[str | None]:
    """Each axis of dy is cut into (repeats, size), and the repeats are summed."""
    rank = ctx.rank(ctx.x)
    pairs = [ctx.op("Unsqueeze", vector, ctx.ints(1)) for vector in (ctx.node.input[1], ctx.shape_of(ctx.x))]
    split = ctx.op("Reshape", ctx.op("Concat", *pairs, axis=1), ctx.ints(-1))
    apart = ctx.op("Reshape", ctx.dy, split, allowzero=1)
    return [ctx.op("ReduceSum", apart, ctx.ints(*range(0, 2 * rank, 2)), keepdims=0)]


@rule("Where")
def where(ctx: Context) -> Sequence[str | None]:
    condition, chosen, other = ctx.node.input
    zero = ctx.number(0, like=chosen)
    first = ctx.op("Where", condition, ctx.dy, zero) if ctx.needs(1) else None
    second = ctx.op("Where", condition, zero, ctx.dy) if ctx.needs(2) else None
    return [None, first and unbroadcast(ctx, first, to=chosen), second and unbroadcast(ctx, second, to=other)]


@rule("Trilu")
def trilu(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Trilu", ctx.dy, ctx.input(1), upper=ctx.attribute("upper"))]


@rule("CumSum")
def cum_sum(ctx: Context) -> Sequence[str | None]:
    """The cumulative sum from the other end."""
    return [ctx.op("CumSum", ctx.dy, ctx.node.input[1], exclusive=ctx.attribute("exclusive"),
                   reverse=1 - ctx.attribute("reverse", 0))]


@rule("DepthToSpace")
def depth_to_space(ctx: Context) -> Sequence[str | None]:
    block = ctx.attribute("blocksize")
    back = ctx.op("SpaceToDepth", ctx.dy, blocksize=block)
    if ctx.attribute("mode", "DCR") == "DCR":
        return [back]
    shape = ctx.shape(ctx.x)
    channels = shape[1] if shape else None
    if not isinstance(channels, int):
        raise ctx.error("the number of its channels can not be inferred")
    # SpaceToDepth puts the position in its block first, CRD has it behind the channel.
    depth = channels // block**2
    order = [position * depth + channel for channel in range(depth) for position in range(block**2)]
    return [ctx.op("Gather", back, ctx.ints(*order), axis=1)]


@rule("SpaceToDepth")
def space_to_depth(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("DepthToSpace", ctx.dy, blocksize=ctx.attribute("blocksize"))]
