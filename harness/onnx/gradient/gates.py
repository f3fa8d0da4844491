"""Masks that let a gradient pass or not, in the form that runs fastest."""

from __future__ import annotations

from harness.onnx.gradient.context import Context


def where_positive(ctx: Context, gate: str, value: str, otherwise: str | None = None) -> str:
    """`value` where gate > 0, elsewhere `otherwise`, by default 0."""
    return where(ctx, ctx.op("Greater", gate, ctx.number(0)), value, otherwise)


def where_between(ctx: Context, gate: str, low: str | None, high: str | None, value: str) -> str:
    """`value` where low < gate < high, elsewhere 0; bounds are scalar tensors, None: no bound."""
    above = ctx.op("Greater", gate, low) if low else None
    below = ctx.op("Less", gate, high) if high else None
    mask = ctx.op("And", above, below) if above and below else above or below
    return where(ctx, mask, value) if mask else value


def where(ctx: Context, mask: str, value: str, otherwise: str | None = None) -> str:
    """`value` where the boolean mask holds, elsewhere `otherwise`, by default 0."""
    return ctx.op("Where", mask, value, otherwise or ctx.number(0))
