"""Operators that ONNX defines by other operators, e.g. Attention: they need no rule of their own."""

from __future__ import annotations

import onnx
from onnx import defs, inliner

from harness.onnx.gradient.backward import differentiable
from harness.onnx.gradient.graph import Graph
from harness.onnx.gradient.rules import Rules


def expanded(model: onnx.ModelProto, rules: Rules) -> onnx.ModelProto | None:
    """The model with their definitions in place of the operators that a gradient could have to pass without a rule.

    model: with known element types, see `simplify`. None when there is nothing to replace; what is put in may need
    another turn.
    """
    graph = Graph(model)
    moving = set(graph.inputs)
    wanted: set[str] = set()
    for node in graph.nodes:
        if moving.isdisjoint(node.input):
            continue
        floats = [name for name in node.output if name and differentiable(graph, name)]
        moving.update(floats)
        if floats and rules.find(node) is None and _is_defined(model, node):
            wanted.add(node.op_type)
    if not wanted:
        return None
    return inliner.inline_selected_functions(model, [("", op_type) for op_type in sorted(wanted)],
                                             inline_schema_functions=True)


def _is_defined(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Whether the standard defines a node's operator, at the model's opset, as a function of other operators."""
    if node.domain not in ("", "ai.onnx"):
        return False
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if not defs.has(node.op_type, ""):
        return False
    schema = defs.get_schema(node.op_type, opset, "")
    # The stubs of onnx do not know what its own documentation describes.
    return bool(schema.has_function or schema.has_context_dependent_function)  # type: ignore[attr-defined]
