"""A model and its gradients as one ONNX graph."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx

from harness.onnx.gradient.backward import append_gradients, differentiated
from harness.onnx.gradient.cotangents import ClassIndex, Cotangent
from harness.onnx.gradient.graph import Graph
from harness.onnx.gradient.prepare import prepare
from harness.onnx.gradient.rules import Rules
from harness.onnx.gradient.standard import standard_rules

METADATA = "harness.gradient"
"""Key of the metadata entry that says in JSON what a graph differentiates: output, wrt, and how many nodes of which
operator had their rule overridden (modified)."""


def build(model: onnx.ModelProto, *, output: str, wrt: str | Sequence[str], cotangent: Cotangent | None = None,
          rules: Rules | None = None, overrides: Rules | None = None,
          names: Sequence[str] | None = None, fold_batch_norm: bool = False) -> onnx.ModelProto:
    """The model with further outputs: the gradient of one scalar per sample by each tensor of `wrt`.

    output: the tensor that the scalar is taken of, by `cotangent` (by default output[n, class[n]], where `class`
    (N,) int64 is a further graph input); wrt: inputs or inner tensors; names: of the gradients among the outputs, by
    default "<tensor>.gradient", of the tensor's shape and type. The outputs of the model stay.
    rules: by default all of this package; overrides: rules that replace some of them, see `modifier_rules`. The graph
    records in its metadata what was differentiated.
    fold_batch_norm: as `prepare` does.
    The model itself is not changed. Raises GradientError, or UnsupportedOp for an operator without a rule.
    """
    tensors = [wrt] if isinstance(wrt, str) else list(wrt)
    graph = Graph(prepare(model, keep=[output, *tensors], fold_batch_norm=fold_batch_norm))
    start = (cotangent or ClassIndex()).append(graph, output)
    known = rules or standard_rules()
    facts = {"output": output, "wrt": tensors, "modified": modified_operators(graph, output, tensors, overrides)}
    gradients = append_gradients(graph, {output: start}, tensors, overrides.over(known) if overrides else known)
    for tensor, name in zip(tensors, names or [gradient_name(tensor) for tensor in tensors], strict=True):
        graph.add_output(gradients[tensor], name, graph.dtype(tensor) or np.float32, graph.shape(tensor))
    graph.model.metadata_props.add(key=METADATA, value=json.dumps(facts))
    return graph.model


def modified_operators(graph: Graph, output: str, wrt: Sequence[str], overrides: Rules | None) -> dict[str, int]:
    """How many nodes of which operator are passed by other rules than their own."""
    nodes = differentiated(graph, [output], wrt) if overrides else []
    return dict(Counter(node.op_type for node in nodes if overrides and overrides.replaces(graph, node)))


def gradient_name(tensor: str) -> str:
    """The name of a tensor's gradient among the outputs."""
    return f"{tensor}.gradient"
