"""Rules that bend the gradient at activations: guided backpropagation and the deconvolutional network.

Both were defined for ReLU (Springenberg et al. 2015, "Striving for Simplicity", figure 1; Zeiler and Fergus 2014,
"Visualizing and Understanding Convolutional Networks", section 2.1). Here, for an activation f with y = f(x):

- gradient (no modifier): f'(x) dy, everywhere;
- guided: f'(x) max(dy, 0) where y > 0, elsewhere 0: only positive gradients, only of positive activations. For ReLU
  this is the definition; for Clip(0, 6) max(dy, 0) where 0 < y < 6; LeakyRelu, Elu and their kin pass nothing below
  zero; Gelu, Silu (Swish), HardSwish and Mish keep their slope above zero.
- deconv: max(dy, 0), whatever the activation was.

Both apply to RECTIFIERS, also where Silu, Mish, HardSwish or Gelu is written as a product (see `selfgated`), and keep
the gradient of saturating functions such as Sigmoid and Tanh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where_positive
from harness.onnx.gradient.rules import Rule, Rules
from harness.onnx.gradient.selfgated import gate_of

Modifier = Literal["gradient", "guided", "deconv"]
RECTIFIERS = ("Celu", "Clip", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Softplus",
              "Swish", "ThresholdedRelu")
_GATED_ALREADY = frozenset({"Relu"})
"""Their own rule passes nothing where y <= 0."""


def modifier_rules(modifier: Modifier, rules: Rules) -> Rules:
    """What replaces the rules of activations in `rules`: nothing for "gradient"."""
    if modifier == "gradient":
        return Rules()
    wrap: Callable[[Rule], Rule] = guided if modifier == "guided" else deconv
    product = guided_product if modifier == "guided" else deconv_product
    table = {("", op): wrap(rules.table["", op]) for op in RECTIFIERS}
    return Rules({**table, ("", "Mul"): product(rules.table["", "Mul"])})


def guided(rule: Rule) -> Rule:
    """Positive gradients of positive activations."""

    def modified(ctx: Context) -> Sequence[str | None]:
        first, *rest = rule(ctx.with_cotangent(ctx.op("Relu", ctx.dy)))
        if ctx.node.op_type in _GATED_ALREADY or first is None:
            return [first, *rest]
        return [where_positive(ctx, ctx.y, first), *rest]

    return modified


def deconv(rule: Rule) -> Rule:  # noqa: ARG001 - what was there is replaced
    """Positive gradients."""

    def modified(ctx: Context) -> Sequence[str | None]:
        return [ctx.op("Relu", ctx.dy)]

    return modified


def guided_product(rule: Rule) -> Rule:
    """As `guided`, for a product that is an activation; other products keep their gradient.

    From the product back to x everything is elementwise, so it is enough to gate the cotangent of the product.
    """

    def modified(ctx: Context) -> Sequence[str | None]:
        if gate_of(ctx) is None:
            return rule(ctx)
        return rule(ctx.with_cotangent(where_positive(ctx, ctx.y, ctx.op("Relu", ctx.dy))))

    return modified


def deconv_product(rule: Rule) -> Rule:
    """As `deconv`, for a product that is an activation; other products keep their gradient.

    The gate counts as its limit for large x, e.g. 2 for the 1 + Erf of a Gelu that halves elsewhere.
    """

    def modified(ctx: Context) -> Sequence[str | None]:
        gate = gate_of(ctx)
        if gate is None:
            return rule(ctx)
        passed = ctx.op("Relu", ctx.dy)
        if gate.limit != 1:
            passed = ctx.op("Mul", passed, ctx.number(gate.limit))
        return [None, passed] if gate.position == 0 else [passed, None]

    return modified
