"""Activations that exporters write as products: Silu is x Sigmoid(x), Gelu x (1 + Erf(x / sqrt 2)) / 2."""

from __future__ import annotations

from typing import NamedTuple

from harness.onnx.gradient.context import Context

_BOUNDED = {"Sigmoid": 1.0, "HardSigmoid": 1.0, "Tanh": 1.0, "Erf": 1.0}
"""Their limits for large arguments."""
_ELEMENTWISE = frozenset({"Add", "Clip", "Div", "Erf", "HardSigmoid", "Mul", "Neg", "Pow", "Sigmoid", "Softplus", "Sub",
                          "Tanh"})


class Gate(NamedTuple):
    """The factor of a product x gate(x): which input it is, and its limit for large x."""

    position: int
    limit: float


def gate_of(ctx: Context) -> Gate | None:
    """Of a Mul node that is such a product: a factor is x, or x times a constant, the other a bounded gate of x alone.

    That is how Silu (Swish), Mish, HardSwish and both forms of Gelu are exported; factors like 1/2 or 1/6 may stand
    anywhere. Channel attention is none: there the gate depends on more than the element itself.
    """
    first, second = ctx.node.input
    for index, (gate, factor) in enumerate(((first, second), (second, first))):
        limit = _limit(ctx, gate)
        if limit and any(_function_of(ctx, gate, x) for x in _unscaled(ctx, factor)):
            return Gate(index, limit)
    return None


def _unscaled(ctx: Context, name: str) -> list[str]:
    """The tensor itself, and what it is a multiple of."""
    node = ctx.graph.producer(name)
    if node is None or node.op_type not in ("Mul", "Div") or not any(map(ctx.graph.is_constant, node.input)):
        return [name]
    return [name, *(each for each in node.input if not ctx.graph.is_constant(each))]


def _limit(ctx: Context, name: str) -> float | None:
    """The limit of a bounded expression for large arguments, None for any other expression."""
    node = ctx.graph.producer(name)
    if node is None:
        return None
    if node.op_type in _BOUNDED:
        return _BOUNDED[node.op_type]
    if node.op_type == "Clip":
        return _number(ctx, node.input[2]) if len(node.input) > 2 else None
    if node.op_type not in ("Add", "Mul", "Div"):
        return None
    first, second = node.input
    inner, constant = _limit(ctx, first), _number(ctx, second)
    if inner is None and node.op_type != "Div":
        inner, constant = _limit(ctx, second), _number(ctx, first)
    if inner is None or constant is None or (constant == 0 and node.op_type == "Div"):
        return None
    return {"Add": inner + constant, "Mul": inner * constant, "Div": inner / (constant or 1)}[node.op_type]


def _number(ctx: Context, name: str) -> float | None:
    value = ctx.value(name)
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _function_of(ctx: Context, name: str, x: str) -> bool:
    """Whether a tensor is computed element by element from x and constants alone."""
    if name == x:
        return True
    node = ctx.graph.producer(name)
    if node is None or node.op_type not in _ELEMENTWISE:
        return False
    inputs = [each for each in node.input if each and not ctx.graph.is_constant(each)]
    return bool(inputs) and all(_function_of(ctx, each, x) for each in inputs)
