"""Rules of operators that take elements by position, and of those that put them there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.positions import scattered
from harness.onnx.gradient.rules import rule


@rule("Concat")
def concat(ctx: Context) -> Sequence[str | None]:
    axis = ctx.attribute("axis")
    names = ctx.node.input
    if len(names) == 1:
        return [ctx.dy]
    shapes = [ctx.shape(name) for name in names]
    known = [shape[axis] for shape in shapes if shape is not None and isinstance(shape[axis], int)]
    if len(known) == len(names):
        sizes = ctx.ints(*(dim for dim in known if isinstance(dim, int)))
    else:
        one = ctx.ints(axis)
        sizes = ctx.op("Concat", *(ctx.op("Gather", ctx.op("Shape", name), one) for name in names), axis=0)
    return ctx.ops("Split", [ctx.dy, sizes], len(names), axis=axis)


@rule("Split")
def split(ctx: Context) -> Sequence[str | None]:
    """Outputs that nobody differentiates by count as zero."""
    parts = [ctx.zeros_like(output) if gradient is None else gradient
             for output, gradient in zip(ctx.node.output, ctx.cotangents, strict=True)]
    return [ctx.op("Concat", *parts, axis=ctx.attribute("axis", 0)) if len(parts) > 1 else parts[0]]


@rule("Slice")
def slice_(ctx: Context) -> Sequence[str | None]:
    """Zeros around dy where the steps are 1 and the beginning is known, otherwise every element to where it was."""
    begins = _begins(ctx)
    if begins is None:
        return [scattered(ctx, lambda positions: ctx.op("Slice", positions, *ctx.inputs[1:]))]
    axes = list(begins)
    sizes = ctx.op("Sub", _sizes(ctx, ctx.x, axes), _sizes(ctx, ctx.y, axes))
    before = ctx.ints(*begins.values())
    pads = ctx.op("Concat", before, ctx.op("Sub", sizes, before), axis=0)
    return [_padded(ctx, ctx.dy, axes, pads)]


@rule("Gather")
def gather(ctx: Context) -> Sequence[str | None]:
    """Added up along the axis, as an index may be taken several times; around a single known one there are zeros."""
    indices, axis = ctx.node.input[1], ctx.attribute("axis", 0) % ctx.rank(ctx.x)
    value = ctx.value(indices)
    if value is not None and value.size == 1:
        alone = ctx.dy if value.ndim == 1 else ctx.op("Unsqueeze", _squeezed(ctx, axis, value.ndim), ctx.ints(axis))
        around = _around(ctx, alone, axis, int(value.reshape(())))
        if around:
            return [around]
    return [_added_at(ctx, indices, axis)]


def _squeezed(ctx: Context, axis: int, count: int) -> str:
    """dy without the axes, all of size 1, that the indices have put in place of one."""
    return ctx.op("Squeeze", ctx.dy, ctx.ints(*range(axis, axis + count))) if count else ctx.dy


def _around(ctx: Context, value: str, axis: int, index: int) -> str | None:
    """Zeros around a value of size 1 at a position of the axis; None where it is counted from an unknown end."""
    shape = ctx.shape(ctx.x)
    size = shape[axis] if shape else None
    if isinstance(size, int):
        return _padded(ctx, value, [axis], ctx.ints(index % size, size - 1 - index % size))
    if index < 0:
        return None
    behind = ctx.op("Sub", _sizes(ctx, ctx.x, [axis]), ctx.ints(index + 1))
    return _padded(ctx, value, [axis], ctx.op("Concat", ctx.ints(index), behind, axis=0))


def _padded(ctx: Context, value: str, axes: Sequence[int], pads: str) -> str:
    return ctx.op("Pad", value, pads, None, ctx.ints(*axes))


def _added_at(ctx: Context, indices: str, axis: int) -> str:
    rank, many = ctx.rank(ctx.x), ctx.rank(indices)
    trailing = list(range(1, rank - axis))
    flat = ctx.op("Reshape", indices, ctx.ints(-1))
    column = ctx.op("Unsqueeze", flat, ctx.ints(*trailing)) if trailing else flat
    dy = ctx.dy
    if many != 1:  # one axis in place of as many as the indices have
        shape = ctx.op("Shape", ctx.x)
        parts = [ctx.op("Slice", shape, ctx.ints(0), ctx.ints(axis)), ctx.op("Shape", flat),
                 ctx.op("Slice", shape, ctx.ints(axis + 1), ctx.ints(rank))]
        dy = ctx.op("Reshape", dy, ctx.op("Concat", *parts, axis=0), allowzero=1)
    where = ctx.op("Expand", column, ctx.op("Shape", dy))
    return ctx.op("ScatterElements", ctx.zeros_like(ctx.x), where, dy, axis=axis, reduction="add")


@rule("GatherElements")
def gather_elements(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("ScatterElements", ctx.zeros_like(ctx.x), ctx.node.input[1], ctx.dy,
                   axis=ctx.attribute("axis"), reduction="add")]


@rule("GatherND")
def gather_nd(ctx: Context) -> Sequence[str | None]:
    """Raises GradientError with batch_dims, which no exporter of vision models writes."""
    if ctx.attribute("batch_dims", 0):
        raise ctx.error("batch_dims is not covered")
    return [ctx.op("ScatterND", ctx.zeros_like(ctx.x), ctx.node.input[1], ctx.dy, reduction="add")]


@rule("ScatterElements", "ScatterND")
def scatter(ctx: Context) -> Sequence[str | None]:
    """Overwritten elements of the data have no influence; added ones leave it. Raises GradientError for other ways."""
    reduction = ctx.attribute("reduction", "none")
    if reduction not in ("none", "add"):
        raise ctx.error(f'reduction = "{reduction}" is not covered')
    indices, updates, axis = ctx.node.input[1], ctx.node.input[2], ctx.attribute("axis")
    data = ctx.dy
    if ctx.needs(0) and reduction == "none":
        data = ctx.op(ctx.node.op_type, ctx.dy, indices, ctx.zeros_like(updates), axis=axis)
    if not ctx.needs(2):
        return [data]
    taking = "GatherElements" if ctx.node.op_type == "ScatterElements" else "GatherND"
    return [data, None, ctx.op(taking, ctx.dy, indices, axis=axis)]


@rule("TopK")
def top_k(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("ScatterElements", ctx.zeros_like(ctx.x), ctx.node.output[1], ctx.dy,
                   axis=ctx.attribute("axis", -1), reduction="add")]


def _begins(ctx: Context) -> dict[int, int] | None:
    """First position by axis when all steps are 1 and it can be told, otherwise None."""
    starts, axes, steps = (_vector(ctx, index) for index in (1, 3, 4))
    shape = ctx.shape(ctx.x)
    if starts is None or shape is None or (ctx.input(3) and axes is None):
        return None
    if ctx.input(4) and (steps is None or (steps != 1).any()):
        return None
    begins = {}
    for axis, start in zip(range(len(starts)) if axes is None else axes % len(shape), starts, strict=True):
        dim = shape[axis]
        if isinstance(dim, int):
            begins[int(axis)] = min(max(int(start) + (dim if start < 0 else 0), 0), dim)
        elif start == 0:  # others may lie behind the end
            begins[int(axis)] = 0
        else:
            return None
    return begins


def _vector(ctx: Context, index: int) -> NDArray[np.int64] | None:
    value = ctx.value(ctx.input(index))
    return None if value is None else value.astype(np.int64)


def _sizes(ctx: Context, name: str, axes: Sequence[int]) -> str:
    return ctx.op("Gather", ctx.shape_of(name), ctx.ints(*axes))
