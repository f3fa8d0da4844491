"""Rules of smooth activations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Sigmoid")
def sigmoid(ctx: Context) -> Sequence[str | None]:
    """y (1 - y)."""
    return _times(ctx, ctx.op("Mul", ctx.y, ctx.op("Sub", ctx.number(1), ctx.y)))


@rule("Tanh")
def tanh(ctx: Context) -> Sequence[str | None]:
    """1 - y^2."""
    return _times(ctx, ctx.op("Sub", ctx.number(1), ctx.op("Mul", ctx.y, ctx.y)))


@rule("Softplus")
def softplus(ctx: Context) -> Sequence[str | None]:
    return _times(ctx, ctx.op("Sigmoid", ctx.x))


@rule("Softsign")
def softsign(ctx: Context) -> Sequence[str | None]:
    """1 / (1 + |x|)^2."""
    root = ctx.op("Add", ctx.op("Abs", ctx.x), ctx.number(1))
    return [ctx.op("Div", ctx.dy, ctx.op("Mul", root, root))]


@rule("Erf")
def erf(ctx: Context) -> Sequence[str | None]:
    """2 / sqrt(pi) exp(-x^2)."""
    bell = ctx.op("Exp", ctx.op("Neg", ctx.op("Mul", ctx.x, ctx.x)))
    return _times(ctx, ctx.op("Mul", bell, ctx.number(2 / math.sqrt(math.pi))))


@rule("Swish")
def swish(ctx: Context) -> Sequence[str | None]:
    """y = x s with s = sigmoid(alpha x); its slope is s (1 + alpha x (1 - s)) = s + alpha y (1 - s)."""
    alpha = ctx.attribute("alpha", 1.0)
    scaled = ctx.x if alpha == 1 else ctx.op("Mul", ctx.x, ctx.number(alpha))
    gate = ctx.op("Sigmoid", scaled)
    bend = ctx.op("Mul", scaled, ctx.op("Sub", ctx.number(1), gate))
    return _times(ctx, ctx.op("Mul", gate, ctx.op("Add", bend, ctx.number(1))))


@rule("Mish")
def mish(ctx: Context) -> Sequence[str | None]:
    """y = x t with t = tanh(softplus(x)); its slope is t + x (1 - t^2) sigmoid(x)."""
    t = ctx.op("Tanh", ctx.op("Softplus", ctx.x))
    bend = ctx.op("Mul", ctx.op("Sub", ctx.number(1), ctx.op("Mul", t, t)), ctx.op("Sigmoid", ctx.x))
    return _times(ctx, ctx.op("Add", t, ctx.op("Mul", ctx.x, bend)))


@rule("Gelu")
def gelu(ctx: Context) -> Sequence[str | None]:
    """Exact: x Phi(x), slope Phi(x) + x phi(x); tanh: x (1 + t) / 2 with t = tanh(u), slope as written below."""
    approximate = ctx.attribute("approximate", "none") == "tanh"
    return _times(ctx, _gelu_tanh_slope(ctx) if approximate else _gelu_slope(ctx))


def _gelu_slope(ctx: Context) -> str:
    x, half = ctx.x, ctx.number(0.5)
    scaled = ctx.op("Mul", x, ctx.number(math.sqrt(0.5)))
    mass = ctx.op("Mul", ctx.op("Add", ctx.op("Erf", scaled), ctx.number(1)), half)
    bell = ctx.op("Exp", ctx.op("Neg", ctx.op("Mul", scaled, scaled)))
    return ctx.op("Add", mass, ctx.op("Mul", ctx.op("Mul", x, bell), ctx.number(1 / math.sqrt(2 * math.pi))))


def _gelu_tanh_slope(ctx: Context) -> str:
    """u = c (x + a x^3): (1 + t) / 2 + x (1 - t^2) c (1 + 3 a x^2) / 2."""
    x, one, half = ctx.x, ctx.number(1), ctx.number(0.5)
    c, a = math.sqrt(2 / math.pi), 0.044715
    square = ctx.op("Mul", x, x)
    inner = ctx.op("Mul", x, ctx.op("Add", ctx.op("Mul", square, ctx.number(c * a)), ctx.number(c)))
    t = ctx.op("Tanh", inner)
    slope = ctx.op("Add", ctx.op("Mul", square, ctx.number(3 * c * a)), ctx.number(c))
    bend = ctx.op("Mul", ctx.op("Sub", one, ctx.op("Mul", t, t)), ctx.op("Mul", x, slope))
    return ctx.op("Mul", ctx.op("Add", ctx.op("Add", t, one), bend), half)


def _times(ctx: Context, slope: str) -> Sequence[str | None]:
    return [ctx.op("Mul", ctx.dy, slope)]
