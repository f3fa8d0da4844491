"""What a node reads: its inputs, and what the bodies of If, Loop and Scan take from the graph around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def reads(node: onnx.NodeProto) -> list[str]:
    """Names of tensors, without inputs that are left out; its inputs first."""
    return [*filter(None, node.input), *sorted(captured(node))]


def captured(node: onnx.NodeProto) -> set[str]:
    """Names that the bodies of If, Loop or Scan take from the graph around them."""
    names: set[str] = set()
    for attribute in node.attribute:
        for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            own = {value.name for value in (*body.input, *body.initializer)}
            own.update(name for inner in body.node for name in inner.output)
            read = {name for inner in body.node for name in reads(inner)}
            names |= (read | {value.name for value in body.output}) - own
    return names
