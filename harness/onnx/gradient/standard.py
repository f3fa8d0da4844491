"""The rules of this package, one module per family of operators."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from harness.onnx.gradient.rules import Rules

_FAMILIES = (
    "activations",
    "arithmetic",
    "average_pool",
    "convolution",
    "einsum",
    "elementwise",
    "indexing",
    "matrix",
    "max_pool",
    "normalization",
    "padding",
    "reductions",
    "resizing",
    "shapes",
    "smooth",
    "softmax",
)


@cache
def standard_rules() -> Rules:
    """All rules for operators of the standard domain."""
    return Rules.collect(import_module(f"harness.onnx.gradient.{family}") for family in _FAMILIES)
