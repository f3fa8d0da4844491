"""Back through NumPy broadcasting: gradients are summed over the repetitions."""

from __future__ import annotations

from onnx import TensorProto

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.graph import Shape


def unbroadcast(ctx: Context, gradient: str, to: str, of: str | None = None) -> str:
    """`gradient`, which has the shape of the forward tensor `of` (the first output), summed to the shape of `to`."""
    return sum_to(ctx, gradient, ctx.shape(of or ctx.y), to)


def sum_to(ctx: Context, gradient: str, source: Shape | None, to: str) -> str:
    """`gradient` of shape `source` summed to the shape of the forward tensor `to`, which was broadcast to it.

    Where dimensions are unknown, the axes to sum over are computed in the graph.
    """
    target = ctx.shape(to)
    axes = None if target is None or source is None else _repeated(source, target)
    if axes is None or target is None or source is None:
        return _dynamic(ctx, gradient, to)
    lead = len(source) - len(target)
    if axes:
        gradient = ctx.op("ReduceSum", gradient, ctx.ints(*axes), keepdims=1)
    return ctx.op("Squeeze", gradient, ctx.ints(*range(lead))) if lead else gradient


def _repeated(source: Shape, target: Shape) -> list[int] | None:
    """Axes of `source` along which a tensor of shape `target` was repeated; None when they are not known."""
    lead = len(source) - len(target)
    axes = list(range(lead))
    for axis, dim in enumerate(target, lead):
        if dim == 1:
            if source[axis] != 1:
                axes.append(axis)
        elif not isinstance(dim, int) and (dim is None or dim != source[axis]):
            return None
    return axes


def _dynamic(ctx: Context, gradient: str, to: str) -> str:
    """Axes where the target, with ones in front, has size 1; summing over one that was 1 before changes nothing."""
    shape = ctx.op("Shape", to)
    missing = ctx.op("Sub", ctx.op("Size", ctx.op("Shape", gradient)), ctx.op("Size", shape))
    ones = ctx.op("Expand", ctx.ints(1), ctx.op("Unsqueeze", missing, ctx.ints(0)))
    padded = ctx.op("Concat", ones, shape, axis=0)
    single = ctx.op("NonZero", ctx.op("Cast", ctx.op("Equal", padded, ctx.ints(1)), to=TensorProto.INT64))
    axes = ctx.op("Reshape", single, ctx.ints(-1))
    summed = ctx.op("ReduceSum", gradient, axes, keepdims=1, noop_with_empty_axes=1)
    return ctx.op("Reshape", summed, shape, allowzero=1)
