"""Reverse-mode differentiation of ONNX graphs into ONNX graphs."""

from harness.onnx.gradient.backward import append_gradients, differentiated
from harness.onnx.gradient.broadcast import unbroadcast
from harness.onnx.gradient.build import build, gradient_name
from harness.onnx.gradient.context import Context
from harness.onnx.gradient.cotangents import ArgMax, ClassIndex, Cotangent, Fed, Ones, Tensor
from harness.onnx.gradient.errors import GradientError, UnsupportedOp
from harness.onnx.gradient.graph import Graph
from harness.onnx.gradient.modifiers import RECTIFIERS, Modifier, modifier_rules
from harness.onnx.gradient.prepare import prepare
from harness.onnx.gradient.rules import Rule, Rules, rule
from harness.onnx.gradient.standard import standard_rules

__all__ = [
    "RECTIFIERS",
    "ArgMax",
    "ClassIndex",
    "Context",
    "Cotangent",
    "Fed",
    "GradientError",
    "Graph",
    "Modifier",
    "Ones",
    "Rule",
    "Rules",
    "Tensor",
    "UnsupportedOp",
    "append_gradients",
    "build",
    "differentiated",
    "gradient_name",
    "modifier_rules",
    "prepare",
    "rule",
    "standard_rules",
    "unbroadcast",
]
