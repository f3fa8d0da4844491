"""Rules of rectifiers: piecewise linear activations, and those that are linear above zero.

They are gated on their *output* where it tells as much as the input, so that runtimes still fuse the activation into
the operator before it. At a kink ReLU, and Clip at both of its bounds, pass nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where_between, where_positive
from harness.onnx.gradient.rules import rule

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""The defaults of the operator's specification."""


@rule("Relu")
def relu(ctx: Context) -> Sequence[str | None]:
    return [where_positive(ctx, ctx.y, ctx.dy)]


@rule("ThresholdedRelu")
def thresholded_relu(ctx: Context) -> Sequence[str | None]:
    """y = x where x > alpha, elsewhere 0."""
    return [where_between(ctx, ctx.x, ctx.number(ctx.attribute("alpha", 1.0)), None, ctx.dy)]


@rule("LeakyRelu")
def leaky_relu(ctx: Context) -> Sequence[str | None]:
    alpha = ctx.attribute("alpha", 0.01)
    gate = ctx.y if alpha >= 0 else ctx.x
    return [where_positive(ctx, gate, ctx.dy, ctx.op("Mul", ctx.dy, ctx.number(alpha)))]


@rule("PRelu")
def prelu(ctx: Context) -> Sequence[str | None]:
    """y = x where x > 0, elsewhere slope x; the slope is broadcast to x."""
    slope = ctx.node.input[1]
    dx = where_positive(ctx, ctx.x, ctx.dy, ctx.op("Mul", ctx.dy, slope)) if ctx.needs(0) else None
    if not ctx.needs(1):
        return [dx]
    negative = ctx.op("Min", ctx.x, ctx.number(0))
    return [dx, unbroadcast(ctx, ctx.op("Mul", ctx.dy, negative), to=slope)]


@rule("Clip")
def clip(ctx: Context) -> Sequence[str | None]:
    """Strictly between the bounds, as ReLU6 has it; the bounds themselves carry no gradient."""
    if ctx.needs(1) or ctx.needs(2):
        raise ctx.error("its bounds are computed from what is differentiated; only constant bounds are covered")
    return [where_between(ctx, ctx.y, ctx.input(1), ctx.input(2), ctx.dy)]


@rule("HardSigmoid")
def hard_sigmoid(ctx: Context) -> Sequence[str | None]:
    """y = max(0, min(1, alpha x + beta))."""
    slope = ctx.op("Mul", ctx.dy, ctx.number(ctx.attribute("alpha", 0.2)))
    return [where_between(ctx, ctx.y, ctx.number(0), ctx.number(1), slope)]


@rule("HardSwish")
def hard_swish(ctx: Context) -> Sequence[str | None]:
    """y = x max(0, min(1, x / 6 + 1 / 2)): slope 0 up to -3, x / 3 + 1 / 2 between, 1 from 3 on."""
    slope = ctx.op("Add", ctx.op("Div", ctx.x, ctx.number(3)), ctx.number(0.5))
    middle = where_between(ctx, ctx.x, ctx.number(-3), None, ctx.op("Mul", ctx.dy, slope))
    return [ctx.op("Where", ctx.op("Less", ctx.x, ctx.number(3)), middle, ctx.dy)]


@rule("Elu")
def elu(ctx: Context) -> Sequence[str | None]:
    """y = alpha (exp(x) - 1) below zero, where its slope is y + alpha."""
    alpha = ctx.attribute("alpha", 1.0)
    gate = ctx.y if alpha >= 0 else ctx.x
    below = ctx.op("Mul", ctx.dy, ctx.op("Add", ctx.y, ctx.number(alpha)))
    return [where_positive(ctx, gate, ctx.dy, below)]


@rule("Celu")
def celu(ctx: Context) -> Sequence[str | None]:
    """y = alpha (exp(x / alpha) - 1) below zero, where its slope is y / alpha + 1."""
    slope = ctx.op("Add", ctx.op("Div", ctx.y, ctx.number(ctx.attribute("alpha", 1.0))), ctx.number(1))
    return [where_positive(ctx, ctx.x, ctx.dy, ctx.op("Mul", ctx.dy, slope))]


@rule("Selu")
def selu(ctx: Context) -> Sequence[str | None]:
    """y = gamma x above zero, gamma alpha (exp(x) - 1) below, where its slope is y + gamma alpha."""
    alpha, gamma = ctx.attribute("alpha", _SELU_ALPHA), ctx.attribute("gamma", _SELU_GAMMA)
    below = ctx.op("Mul", ctx.dy, ctx.op("Add", ctx.y, ctx.number(alpha * gamma)))
    return [where_positive(ctx, ctx.x, ctx.op("Mul", ctx.dy, ctx.number(gamma)), below)]
