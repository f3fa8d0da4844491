"""Rules of normalizations, by their input; scales, shifts and running statistics are constants in inference."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("BatchNormalization")
def batch_normalization(ctx: Context) -> Sequence[str | None]:
    """dy scale / sqrt(var + epsilon), by channel. Raises GradientError in training mode."""
    _only_input(ctx)
    if ctx.attribute("training_mode", 0):
        raise ctx.error("it is in training mode; export the network in evaluation mode")
    deviation = ctx.op("Sqrt", ctx.op("Add", ctx.node.input[4], _epsilon(ctx)))
    factor = ctx.op("Div", ctx.node.input[1], deviation)
    return [ctx.op("Mul", ctx.dy, _by_channel(ctx, factor))]


@rule("InstanceNormalization")
def instance_normalization(ctx: Context) -> Sequence[str | None]:
    _only_input(ctx)
    scaled = ctx.op("Mul", ctx.dy, _by_channel(ctx, ctx.node.input[1]))
    return [_centered_back(ctx, ctx.x, scaled, range(2, ctx.rank(ctx.x)))]


@rule("LayerNormalization")
def layer_normalization(ctx: Context) -> Sequence[str | None]:
    _only_input(ctx)
    return [_centered_back(ctx, ctx.x, ctx.op("Mul", ctx.dy, ctx.node.input[1]), _trailing(ctx))]


@rule("GroupNormalization")
def group_normalization(ctx: Context) -> Sequence[str | None]:
    """The scale is one per group at opset 18 and one per channel since 21; its size says which."""
    _only_input(ctx)
    groups, scale = ctx.attribute("num_groups"), ctx.node.input[1]
    together = ctx.ints(0, groups, -1)
    per_group = ctx.sizes(scale) == (groups,)
    dy = ctx.dy if per_group else ctx.op("Mul", ctx.dy, _by_channel(ctx, scale))
    dy = ctx.op("Reshape", dy, together)
    if per_group:
        dy = ctx.op("Mul", dy, ctx.op("Unsqueeze", scale, ctx.ints(1)))
    back = _centered_back(ctx, ctx.op("Reshape", ctx.x, together), dy, [2])
    return [ctx.reshaped_like(back, ctx.x)]


@rule("RMSNormalization", "SimplifiedLayerNormalization")
def rms_normalization(ctx: Context) -> Sequence[str | None]:
    """With g = dy scale and r = 1 / sqrt(mean(x^2) + epsilon): r g - x r^3 mean(g x)."""
    _only_input(ctx)
    axes = ctx.ints(*_trailing(ctx))
    scaled = ctx.op("Mul", ctx.dy, ctx.node.input[1])
    inverse = _inverse_deviation(ctx, ctx.op("ReduceMean", ctx.op("Mul", ctx.x, ctx.x), axes, keepdims=1))
    unit = ctx.op("Mul", ctx.x, inverse)
    along = ctx.op("Mul", unit, ctx.op("ReduceMean", ctx.op("Mul", scaled, unit), axes, keepdims=1))
    return [ctx.op("Mul", inverse, ctx.op("Sub", scaled, along))]


@rule("LpNormalization")
def lp_normalization(ctx: Context) -> Sequence[str | None]:
    """(dy - d sum(dy y)) / norm, d = y for p = 2 and sign(x) for p = 1; 0 where the norm is 0."""
    axes, power = ctx.ints(ctx.attribute("axis", -1)), ctx.attribute("p", 2)
    norm = ctx.op("ReduceL1" if power == 1 else "ReduceL2", ctx.x, axes, keepdims=1)
    direction = ctx.op("Sign", ctx.x) if power == 1 else ctx.y
    total = ctx.op("ReduceSum", ctx.op("Mul", ctx.dy, ctx.y), axes, keepdims=1)
    zero = ctx.op("Equal", norm, ctx.number(0))
    quotient = ctx.op("Div", ctx.op("Sub", ctx.dy, ctx.op("Mul", direction, total)),
                      ctx.op("Where", zero, ctx.number(1), norm))
    return [ctx.op("Where", zero, ctx.number(0), quotient)]


@rule("LRN")
def local_response_normalization(ctx: Context) -> Sequence[str | None]:
    """y = x D^-beta, D = bias + alpha / size * (sum of squares over `size` neighboring channels), Krizhevsky 2012, 3.3.

    dx_i = dy_i D_i^-beta - 2 alpha beta / size * x_i * sum over the windows j that hold i of dy_j y_j / D_j
    """
    size, beta = ctx.attribute("size"), ctx.attribute("beta", 0.75)
    alpha, bias = ctx.attribute("alpha", 1e-4), ctx.attribute("bias", 1.0)
    before, after = (size - 1) // 2, size // 2
    squares = _channel_mean(ctx, ctx.op("Mul", ctx.x, ctx.x), size, before, after)
    base = ctx.op("Add", ctx.op("Mul", squares, ctx.number(alpha)), ctx.number(bias))
    direct = ctx.op("Mul", ctx.dy, ctx.op("Pow", base, ctx.number(-beta)))
    shares = ctx.op("Div", ctx.op("Mul", ctx.dy, ctx.y), base)
    through = ctx.op("Mul", ctx.x, _channel_mean(ctx, shares, size, after, before))
    return [ctx.op("Sub", direct, ctx.op("Mul", through, ctx.number(2 * alpha * beta)))]


def _channel_mean(ctx: Context, value: str, size: int, before: int, after: int) -> str:
    """Sums over windows of channels, divided by `size` at the borders, too."""
    space = ctx.rank(ctx.x) - 2
    stacked = ctx.op("Unsqueeze", value, ctx.ints(1))
    mean = ctx.op("AveragePool", stacked, kernel_shape=[size, *[1] * space], count_include_pad=1,
                  pads=[before, *[0] * space, after, *[0] * space])
    return ctx.op("Squeeze", mean, ctx.ints(1))


def _centered_back(ctx: Context, x: str, scaled: str, axes: Sequence[int]) -> str:
    """Through z = (x - mean) r over `axes`, r = 1 / sqrt(variance + epsilon): r (g - mean(g) - z mean(g z)).

    g: `scaled`, the gradient by z. Ioffe 2015, section 3, with the statistics of the sample itself.
    """
    over = ctx.ints(*axes)

    def mean(value: str) -> str:
        return ctx.op("ReduceMean", value, over, keepdims=1)

    centered = ctx.op("Sub", x, mean(x))
    inverse = _inverse_deviation(ctx, mean(ctx.op("Mul", centered, centered)))
    unit = ctx.op("Mul", centered, inverse)
    along = ctx.op("Mul", unit, mean(ctx.op("Mul", scaled, unit)))
    return ctx.op("Mul", inverse, ctx.op("Sub", ctx.op("Sub", scaled, mean(scaled)), along))


def _inverse_deviation(ctx: Context, variance: str) -> str:
    return ctx.op("Reciprocal", ctx.op("Sqrt", ctx.op("Add", variance, _epsilon(ctx))))


def _epsilon(ctx: Context) -> str:
    return ctx.number(ctx.attribute("epsilon", 1e-5))


def _trailing(ctx: Context) -> Sequence[int]:
    rank = ctx.rank(ctx.x)
    return range(ctx.attribute("axis", -1) % rank, rank)


def _by_channel(ctx: Context, vector: str) -> str:
    """(C,) to (C, 1, ...), which broadcasts over (N, C, ...)."""
    space = ctx.rank(ctx.x) - 2
    return ctx.op("Unsqueeze", vector, ctx.ints(*range(1, space + 1))) if space else vector


def _only_input(ctx: Context) -> None:
    if any(ctx.needs(index) for index in range(1, len(ctx.inputs))):
        raise ctx.error("its scale, shift or statistics are computed from what is differentiated; only constant ones "
                        "are covered")
    if any(cotangent is not None for cotangent in ctx.cotangents[1:]):
        raise ctx.error("the gradient of the statistics that it puts out is asked for")
