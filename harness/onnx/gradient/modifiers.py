"""Rules that bend the gradient at activations: guided backpropagation and the deconvolutional network.

Both were defined for ReLU (Springenberg et al. 2015, "Striving for Simplicity", figure 1; Zeiler and Fergus 2014,
"Visualizing and Understanding Convolutional Networks", section 2.1). Here, for an activation f with y = f(x):

- gradient (no modifier): f'(x) dy, everywhere;
- guided: f'(x) max(dy, 0) where y > 0, elsewhere 0: only positive gradients, only of positive activations. For ReLU
  this is the definition; for Clip(0, 6) max(dy, 0) where 0 < y < 6; LeakyRelu, Elu and their kin pass nothing below
  zero; Gelu, Silu (Swish), HardSwish and Mish keep their slope above zero.
- deconv: max(dy, 0), whatever the activation was.

Clip is one where its lower bound is 0: others keep arithmetic in range, such as Clip(1e-7) before a logarithm.

Both apply to RECTIFIERS, and keep the gradient of saturating functions such as Sigmoid and Tanh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import onnx

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.gates import where_positive
from harness.onnx.gradient.graph import Graph
from harness.onnx.gradient.rules import Conditional, Rule, Rules

Modifier = Literal["gradient", "guided", "deconv"]
RECTIFIERS = ("Celu", "Clip", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Softplus",
              "Swish", "ThresholdedRelu")


def modifier_rules(modifier: Modifier, rules: Rules) -> Rules:
    """What replaces the rules of activations in `rules`: nothing for "gradient"."""
    if modifier == "gradient":
        return Rules()
    wrap: Callable[[Rule], Rule] = guided if modifier == "guided" else deconv
    table = {("", op): wrap(rules.table["", op]) for op in RECTIFIERS}
    table["", "Clip"] = Conditional(_rectifies, table["", "Clip"], rules.table["", "Clip"])
    return Rules(table)


def _rectifies(graph: Graph, clip: onnx.NodeProto) -> bool:
    """Clip(0, ...) is a rectifier; one with another lower bound guards a logarithm or a size, and is arithmetic."""
    low = graph.value(clip.input[1]) if len(clip.input) > 1 and clip.input[1] else None
    return low is not None and float(low) == 0


def guided(rule: Rule) -> Rule:
    """Positive gradients of positive activations."""

    def modified(ctx: Context) -> Sequence[str | None]:
        first, *rest = rule(ctx.with_cotangent(ctx.op("Relu", ctx.dy)))
        if first is None or _gated(ctx):
            return [first, *rest]
        return [where_positive(ctx, ctx.y, first), *rest]

    return modified


def _gated(ctx: Context) -> bool:
    """Whether the rule itself passes nothing where y <= 0."""
    low = ctx.value(ctx.input(1)) if ctx.node.op_type == "Clip" else None
    return ctx.node.op_type == "Relu" or (low is not None and bool(low >= 0))


def deconv(rule: Rule) -> Rule:  # noqa: ARG001 - what was there is replaced
    """Positive gradients."""

    def modified(ctx: Context) -> Sequence[str | None]:
        return [ctx.op("Relu", ctx.dy)]

    return modified
