"""The rule of padding."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.positions import scattered
from harness.onnx.gradient.rules import rule


@rule("Pad")
def pad(ctx: Context) -> Sequence[str | None]:
    """Cut off what was added, or add it to where it was copied from.

    Raises GradientError when the constant to pad with depends on what is differentiated.
    """
    if ctx.needs(2):
        raise ctx.error("the constant that it pads with is computed from what is differentiated")
    mode, pads = ctx.attribute("mode", "constant"), ctx.value(ctx.node.input[1])
    if mode == "constant" and pads is not None and (pads >= 0).all():
        return [_cut(ctx, pads.tolist())]
    axes = ctx.input(3)
    return [scattered(ctx, lambda positions: ctx.op("Pad", positions, ctx.node.input[1], None, axes, mode=mode))]


def _cut(ctx: Context, pads: Sequence[int]) -> str:
    """dy without the margins: `pads` begins with those before, then come those behind."""
    half = len(pads) // 2
    begins, ends = pads[:half], pads[half:]
    axes = [index for index in range(half) if begins[index] or ends[index]]
    if not axes:
        return ctx.dy
    chosen = ctx.ints(*axes)
    if ctx.input(3) is not None:  # `pads` counts the given axes, Slice takes them from there
        chosen = ctx.op("Gather", ctx.node.input[3], chosen)
    return ctx.op("Slice", ctx.dy, ctx.ints(*(begins[axis] for axis in axes)),
                  ctx.ints(*(-ends[axis] or 2**62 for axis in axes)), chosen)
