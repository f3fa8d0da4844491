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
        convolution,
        einsum,
        indexing,
        matrix,
        normalization,
        padding,
        reductions,
        resizing,
        shapes,
        softmax,
    )

    return Rules.collect([activations, arithmetic, convolution, einsum, indexing, matrix, normalization, padding,
                          reductions, resizing, shapes, softmax])
