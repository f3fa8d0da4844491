"""Rules of arithmetic on several inputs with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where
from harness.onnx.gradient.rules import rule


@rule("Add", "Sum")
def add(ctx: Context) -> Sequence[str | None]:
    return _each(ctx, [ctx.dy] * len(ctx.inputs))


@rule("Mean")
def mean(ctx: Context) -> Sequence[str | None]:
    return _each(ctx, [ctx.op("Div", ctx.dy, ctx.number(len(ctx.inputs)))] * len(ctx.inputs))


@rule("Sub")
def sub(ctx: Context) -> Sequence[str | None]:
    return _each(ctx, [ctx.dy, ctx.op("Neg", ctx.dy) if ctx.needs(1) else None])


@rule("Mul")
def mul(ctx: Context) -> Sequence[str | None]:
    a, b = ctx.node.input
    return _each(ctx, [ctx.op("Mul", ctx.dy, b) if ctx.needs(0) else None,
                       ctx.op("Mul", ctx.dy, a) if ctx.needs(1) else None])


@rule("Div")
def div(ctx: Context) -> Sequence[str | None]:
    """dy / b and -dy y / b."""
    share = ctx.op("Div", ctx.dy, ctx.node.input[1])
    return _each(ctx, [share, ctx.op("Neg", ctx.op("Mul", share, ctx.y)) if ctx.needs(1) else None])


@rule("Pow")
def power(ctx: Context) -> Sequence[str | None]:
    """dy b a^(b - 1), and dy y ln(a), which is 0 where a = 0."""
    return _each(ctx, [ctx.op("Mul", ctx.dy, _power_slope(ctx)) if ctx.needs(0) else None,
                       ctx.op("Mul", ctx.dy, _exponent_slope(ctx)) if ctx.needs(1) else None])


def _power_slope(ctx: Context) -> str:
    a, b = ctx.node.input
    known = ctx.value(b)
    if known is not None and known.size == 1 and float(known.reshape(())) == 2:
        return ctx.op("Mul", a, ctx.number(2))
    exponent = ctx.op("Cast", b, to=ctx.onnx_type(ctx.x))
    lower = ctx.op("Pow", a, ctx.op("Sub", exponent, ctx.number(1)))
    flat = ctx.op("Equal", exponent, ctx.number(0))
    return where(ctx, flat, ctx.number(0), ctx.op("Mul", exponent, lower))


def _exponent_slope(ctx: Context) -> str:
    zero = ctx.op("Equal", ctx.x, ctx.number(0))
    return ctx.op("Mul", ctx.y, ctx.op("Log", where(ctx, zero, ctx.number(1), ctx.x)))


@rule("Min", "Max")
def extreme(ctx: Context) -> Sequence[str | None]:
    """To the inputs that equal the output, in equal shares."""
    if len(ctx.inputs) == 1:
        return [ctx.dy]
    hits = [ctx.op("Cast", ctx.op("Equal", name, ctx.y), to=ctx.onnx_type(ctx.x)) for name in ctx.node.input]
    share = ctx.op("Div", ctx.dy, ctx.op("Sum", *hits))
    return _each(ctx, [ctx.op("Mul", share, hit) for hit in hits])


def _each(ctx: Context, gradients: Sequence[str | None]) -> list[str | None]:
    """Summed over what was broadcast; None where nobody asks."""
    wanted = [value if ctx.needs(index) else None for index, value in enumerate(gradients)]
    return [value and unbroadcast(ctx, value, to=name) for name, value in zip(ctx.node.input, wanted, strict=True)]


