"""The rule of Einsum."""

from __future__ import annotations

from collections.abc import Sequence

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule


@rule("Einsum")
def einsum(ctx: Context) -> Sequence[str | None]:
    """Each operand's gradient is the Einsum of dy and the other operands to the operand's own indices.

    Raises GradientError for an ellipsis and for an index that one operand has twice.
    """
    terms, result = _terms(ctx.attribute("equation"))
    if any("." in term or len(set(term)) < len(term) for term in (*terms, result)):
        raise ctx.error("an ellipsis, or an index twice in one operand, is not covered")
    return [_operand(ctx, terms, result, index) if ctx.needs(index) else None for index in range(len(terms))]


def _operand(ctx: Context, terms: Sequence[str], result: str, index: int) -> str:
    others = [other for other in range(len(terms)) if other != index]
    known = set(result).union(*(terms[other] for other in others))
    own = terms[index]
    equation = ",".join([result, *(terms[other] for other in others)]) + "->" + "".join(c for c in own if c in known)
    value = ctx.op("Einsum", ctx.dy, *(ctx.node.input[other] for other in others), equation=equation)
    summed = [axis for axis, letter in enumerate(own) if letter not in known]
    if not summed:
        return value
    return ctx.op("Expand", ctx.op("Unsqueeze", value, ctx.ints(*summed)), ctx.shape_of(ctx.node.input[index]))


def _terms(equation: str) -> tuple[list[str], str]:
    """The indices of each operand and of the result, which are by default those that occur once, sorted."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    letters = left.replace(",", "")
    return left.split(","), right if arrow else "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
