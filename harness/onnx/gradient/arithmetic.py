"""Rules of elementwise arithmetic with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Add", "Sum", "Mean")
def add(ctx: Context) -> Sequence[str | None]:
    dy = ctx.dy
    if ctx.node.op_type == "Mean":
        dy = ctx.op("Div", dy, ctx.number(len(ctx.inputs)))
    return [unbroadcast(ctx, dy, to=name) if ctx.needs(index) else None
            for index, name in enumerate(ctx.node.input)]
