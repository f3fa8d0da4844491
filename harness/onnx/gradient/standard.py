"""The rules of this package, one module per family of operators."""

from __future__ import annotations

from functools import cache

from harness.onnx.gradient.rules import Rules


@cache
def standard_rules() -> Rules:
    """All rules for operators of the standard domain."""
    from harness.onnx.gradient import (
        activations,
        arithmetic,
        average_pool,
        convolution,
        elementwise,
        matrix,
        max_pool,
        smooth,
    )

    return Rules.collect([activations, arithmetic, average_pool, convolution, elementwise, matrix, max_pool, smooth])
