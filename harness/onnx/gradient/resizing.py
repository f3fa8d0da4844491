"""The rule of Resize: a linear map per axis, whose matrix the operator itself tells.

Resize of the unit vectors gives the rows of the matrix, so that the gradient follows the runtime in every mode and in
every convention of coordinates and rounding, also where implementations differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from onnx import numpy_helper

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule

_MODES = ("mode", "coordinate_transformation_mode", "nearest_mode", "cubic_coeff_a", "exclude_outside", "antialias")
_SCALES, _SIZES = 2, 3


@rule("Resize")
def resize(ctx: Context) -> Sequence[str | None]:
    """Raises GradientError for tf_crop_and_resize and for sizes that keep the aspect ratio."""
    if ctx.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ctx.error("sizes that keep the aspect ratio are not covered; export it with sizes to stretch to")
    if ctx.attribute("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise ctx.error("tf_crop_and_resize is not covered")
    factors = _whole_factors(ctx)
    if factors is not None:
        return [_block_sums(ctx, factors)]
    dy = ctx.dy
    for axis in _resized_axes(ctx):
        dy = _product(ctx, dy, axis, _matrix(ctx, axis))
    return [dy]


def _matrix(ctx: Context, axis: int) -> str:
    """(size before, size after): what becomes of each unit vector along an axis."""
    size = ctx.op("Gather", ctx.shape_of(ctx.x), ctx.ints(axis))
    zero = numpy_helper.from_array(np.zeros(1, ctx.dtype(ctx.x)))
    square = ctx.op("ConstantOfShape", ctx.op("Concat", size, size, axis=0), value=zero)
    units = ctx.op("Unsqueeze", ctx.op("EyeLike", square), ctx.ints(0, 1))
    scales = sizes = None
    if ctx.input(_SIZES) is not None:
        sizes = ctx.op("Concat", ctx.ints(1, 1), size, ctx.op("Gather", ctx.shape_of(ctx.y), ctx.ints(axis)), axis=0)
    else:
        scale = ctx.op("Gather", ctx.input(_SCALES), ctx.ints(_axes(ctx).index(axis)))
        scales = ctx.op("Concat", ctx.graph.constant([1, 1, 1], np.float32), scale, axis=0)
    modes = {name: ctx.attribute(name) for name in _MODES}
    return ctx.op("Squeeze", ctx.op("Resize", units, None, scales, sizes, **modes), ctx.ints(0, 1))


def _product(ctx: Context, dy: str, axis: int, matrix: str) -> str:
    """Sums of dy along the axis, weighted by the rows of the matrix."""
    rank = ctx.rank(ctx.x)
    if axis == rank - 2:
        return ctx.op("MatMul", matrix, dy)
    turned = ctx.op("Transpose", matrix, perm=[1, 0])
    if axis == rank - 1:
        return ctx.op("MatMul", dy, turned)
    swap = list(range(rank))
    swap[axis], swap[-1] = swap[-1], swap[axis]
    return ctx.op("Transpose", ctx.op("MatMul", ctx.op("Transpose", dy, perm=swap), turned), perm=swap)


def _axes(ctx: Context) -> list[int]:
    """The axes that scales or sizes are given for."""
    rank = ctx.rank(ctx.x)
    return [axis % rank for axis in ctx.attribute("axes") or range(rank)]


def _resized_axes(ctx: Context) -> list[int]:
    """Without those that are known to stay as they are."""
    scales = ctx.value(ctx.input(_SCALES)) if ctx.input(_SIZES) is None else None
    if scales is not None:
        return [axis for axis, scale in zip(_axes(ctx), scales, strict=True) if scale != 1]
    before, after = ctx.shape(ctx.x), ctx.shape(ctx.y)
    same = {axis for axis in range(ctx.rank(ctx.x))
            if before and after and before[axis] is not None and before[axis] == after[axis]}
    return [axis for axis in _axes(ctx) if axis not in same]


def _whole_factors(ctx: Context) -> list[int] | None:
    """By spatial axis, where every element is repeated evenly by a known whole number; otherwise None."""
    coordinates = ctx.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = ctx.attribute("nearest_mode", "round_prefer_floor")
    # (r + 1/2) / f - 1/2 rounds to 0 for each of r = 0 ... f - 1, and so does floor(r / f).
    even = rounding.startswith("round") if coordinates == "half_pixel" else rounding == "floor"
    if ctx.attribute("mode", "nearest") != "nearest" or coordinates not in ("half_pixel", "asymmetric") or not even:
        return None
    factors = [1.0] * ctx.rank(ctx.x)
    for axis in _resized_axes(ctx):
        factors[axis] = _factor(ctx, axis)
    whole = [int(factor) for factor in factors]
    usable = len(whole) > 2 and whole == factors and whole[:2] == [1, 1] and min(whole) > 0
    return whole[2:] if usable else None


def _factor(ctx: Context, axis: int) -> float:
    """Size after by size before, 0 where it is not known."""
    if ctx.input(_SIZES) is None:
        scales = ctx.value(ctx.input(_SCALES))
        return 0.0 if scales is None else float(scales[_axes(ctx).index(axis)])
    before, after = ctx.shape(ctx.x), ctx.shape(ctx.y)
    old, new = (before[axis], after[axis]) if before and after else (None, None)
    return new / old if isinstance(old, int) and isinstance(new, int) and old else 0.0


def _block_sums(ctx: Context, factors: Sequence[int]) -> str:
    if all(factor == 1 for factor in factors):
        return ctx.dy
    mean = ctx.op("AveragePool", ctx.dy, kernel_shape=factors, strides=factors)
    return ctx.op("Mul", mean, ctx.number(prod(factors)))
