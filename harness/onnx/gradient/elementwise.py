"""Rules of elementary functions of one input."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Neg")
def neg(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Neg", ctx.dy)]


@rule("Abs")
def absolute(ctx: Context) -> Sequence[str | None]:
    """The sign of x, 0 at 0."""
    return [ctx.op("Mul", ctx.dy, ctx.op("Sign", ctx.x))]


@rule("Exp")
def exp(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.dy, ctx.y)]


@rule("Log")
def log(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Div", ctx.dy, ctx.x)]


@rule("Sqrt")
def sqrt(ctx: Context) -> Sequence[str | None]:
    """1 / (2 y)."""
    return [ctx.op("Div", ctx.op("Mul", ctx.dy, ctx.number(0.5)), ctx.y)]


@rule("Reciprocal")
def reciprocal(ctx: Context) -> Sequence[str | None]:
    """-y^2."""
    return [ctx.op("Neg", ctx.op("Mul", ctx.dy, ctx.op("Mul", ctx.y, ctx.y)))]


@rule("Sin")
def sin(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.dy, ctx.op("Cos", ctx.x))]


@rule("Cos")
def cos(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Neg", ctx.op("Mul", ctx.dy, ctx.op("Sin", ctx.x)))]


@rule("Atan")
def atan(ctx: Context) -> Sequence[str | None]:
    """1 / (1 + x^2)."""
    return [ctx.op("Div", ctx.dy, ctx.op("Add", ctx.op("Mul", ctx.x, ctx.x), ctx.number(1)))]


@rule("Floor", "Ceil", "Round", "Sign")
def steps(ctx: Context) -> Sequence[str | None]:
    """Constant between its jumps: zero."""
    return [ctx.zeros_like(ctx.x)]


@rule("Tan")
def tan(ctx: Context) -> Sequence[str | None]:
    """1 + y^2."""
    return [ctx.op("Mul", ctx.dy, ctx.op("Add", ctx.op("Mul", ctx.y, ctx.y), ctx.number(1)))]


@rule("Sinh")
def sinh(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.dy, ctx.op("Cosh", ctx.x))]


@rule("Cosh")
def cosh(ctx: Context) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.dy, ctx.op("Sinh", ctx.x))]


@rule("Asin", "Acos", "Asinh", "Acosh", "Atanh")
def inverse(ctx: Context) -> Sequence[str | None]:
    """1 / sqrt(1 - x^2), for Acos its negative; 1 / sqrt(x^2 + 1); 1 / sqrt(x^2 - 1); 1 / (1 - x^2)."""
    op, one, square = ctx.node.op_type, ctx.number(1), ctx.op("Mul", ctx.x, ctx.x)
    inner = {"Asinh": ("Add", square, one), "Acosh": ("Sub", square, one)}.get(op, ("Sub", one, square))
    bottom = ctx.op(*inner)
    slope = ctx.op("Div", ctx.dy, bottom if op == "Atanh" else ctx.op("Sqrt", bottom))
    return [ctx.op("Neg", slope) if op == "Acos" else slope]
