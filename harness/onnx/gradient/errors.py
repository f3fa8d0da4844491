"""What can keep a graph from being differentiated."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from harness.errors import ModelFileError

if TYPE_CHECKING:
    import onnx


class GradientError(ModelFileError):
    """The gradient that was asked for can not be built; the message says where in the graph, and the way out."""


class UnsupportedOp(GradientError):
    """A gradient has to pass through an operator that has no rule."""

    def __init__(self, node: onnx.NodeProto, message: str | None = None) -> None:
        self.op_type, self.domain, self.node = node.op_type, node.domain or "ai.onnx", label(node)
        super().__init__(message or (
            f"no gradient rule for operator {self.op_type!r} of domain {self.domain!r}, needed at {self.node}; a "
            f'plugin adds one with the hook harness_gradient_rules: GradientRuleSpec(name="{node.op_type}", '
            f'domain="{node.domain}", factory="package.module:rule", ...); see docs/gradient.md'))


class ControlFlow(UnsupportedOp):
    """A gradient has to pass into the body of If, Loop or Scan by a tensor that is no input of the node."""

    def __init__(self, node: onnx.NodeProto, taken: Collection[str]) -> None:
        super().__init__(node, f"no gradient into the body of operator {node.op_type!r}, needed at {label(node)}: it "
                         f"takes {', '.join(map(repr, sorted(taken)))} from the graph around it, which no rule sees; "
                         "export the model without control flow, or explain a layer behind it")


def label(node: onnx.NodeProto) -> str:
    """How messages name a node: by its name and what it makes."""
    named = f"node {node.name!r}" if node.name else f"the nameless {node.op_type} node"
    return f"{named} that makes {', '.join(map(repr, filter(None, node.output)))}"
