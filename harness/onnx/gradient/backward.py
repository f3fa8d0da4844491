"""Reverse-mode differentiation: from cotangents of some tensors to gradients of others, appended to one graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.definitions import definition
from harness.onnx.gradient.errors import ControlFlow, GradientError, UnsupportedOp, label
from harness.onnx.gradient.graph import Graph, made_by
from harness.onnx.gradient.patterns import with_activations
from harness.onnx.gradient.rules import Rules
from harness.onnx.reads import captured, reads


def append_gradients(graph: Graph, cotangents: Mapping[str, str], wrt: Sequence[str], rules: Rules) -> dict[str, str]:
    """Append the backward pass to `graph`; returns the name of the gradient tensor of each name in `wrt`.

    cotangents: tensor -> a tensor of its shape: the derivative of the scalar by it, one scalar per sample (samples do
    not interact in inference, so one pass serves the batch). Only nodes between `wrt` and those tensors are visited.
    Raises GradientError for unknown names or when a tensor of `cotangents` does not depend on one of `wrt`,
    UnsupportedOp when an operator on the way has no rule.
    """
    for names, what in ((cotangents, "output"), (wrt, "wrt")):
        for name in names:
            graph.require(name, what)
    nodes = with_activations(graph, {*cotangents, *wrt})
    active = _between(graph, nodes, wrt, cotangents)
    arriving: dict[str, list[str]] = {name: [value] for name, value in cotangents.items()}
    gradients: dict[str, str] = {}
    for node in reversed(nodes):
        for name in node.output:
            if name in arriving:
                gradients[name] = _sum(graph, arriving.pop(name))
        if made_by(node) in active:
            for name, value in _back(graph, node, gradients, active[made_by(node)], rules):
                arriving.setdefault(name, []).append(value)
    gradients.update({name: _sum(graph, values) for name, values in arriving.items()})
    return {name: _found(graph, gradients, name, cotangents) for name in wrt}


def differentiated(graph: Graph, cotangents: Iterable[str], wrt: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that gradients pass on their way; activations written out as arithmetic are one node."""
    nodes = with_activations(graph, {*cotangents, *wrt})
    active = _between(graph, nodes, wrt, cotangents)
    return [node for node in nodes if made_by(node) in active]


def _between(graph: Graph, nodes: Sequence[onnx.NodeProto], wrt: Iterable[str],
             cotangents: Iterable[str]) -> dict[str, tuple[bool, ...]]:
    """Of each node (by what it makes first) between `wrt` and `cotangents`: which of its inputs are on a path.

    Raises ControlFlow for a node whose body takes a tensor on a path from outside of it.
    """
    sources = set(wrt)
    dependent = set(sources)
    for node in nodes:
        if any(name in dependent for name in reads(node)):
            dependent.update(name for name in node.output if name and _differentiable(graph, name))
    active: dict[str, tuple[bool, ...]] = {}
    useful = {name for name in cotangents if name in dependent}
    for node in reversed(nodes):
        inputs = tuple(name in dependent for name in node.input)
        if not any(name in useful for name in node.output):
            continue
        if taken := dependent & captured(node):
            raise ControlFlow(node, taken)
        if any(inputs):
            active[made_by(node)] = inputs
            useful.update(name for name in node.input if name in dependent)
    return active


def _differentiable(graph: Graph, name: str) -> bool:
    """Integers and booleans carry no gradient: shapes, indices, masks."""
    dtype = graph.dtype(name)
    return dtype is None or not (np.issubdtype(dtype, np.integer) or dtype in (np.bool_, np.object_))


def _back(graph: Graph, node: onnx.NodeProto, gradients: Mapping[str, str], needed: tuple[bool, ...],
          rules: Rules) -> list[tuple[str, str]]:
    """(input, its gradient) for each input that is needed and has one."""
    cotangents = tuple(gradients.get(name) for name in node.output)
    if not any(cotangents):
        return []
    rule = rules.find(node)
    ctx = Context(graph, node, cotangents, needed)
    if rule is None:
        return _through_definition(ctx, rules)
    results = rule(ctx)
    if isinstance(results, str) or any(results[len(node.input):]):
        raise GradientError(f"the rule of {node.op_type} must return a sequence with one name or None for each of the "
                            f"{len(node.input)} inputs at {label(node)}, got {results!r}")
    pairs = zip(node.input, results, needed, strict=False)
    return [(name, value) for name, value, wanted in pairs if wanted and value is not None]


def _through_definition(ctx: Context, rules: Rules) -> list[tuple[str, str]]:
    outputs = definition(ctx)
    if outputs is None:
        raise UnsupportedOp(ctx.node)
    starts = {outputs[name]: value for name, value in zip(ctx.node.output, ctx.cotangents, strict=True) if value}
    wrt = [name for name, wanted in zip(ctx.node.input, ctx.needed, strict=True) if wanted]
    try:
        return list(append_gradients(ctx.graph, starts, list(dict.fromkeys(wrt)), rules).items())
    except UnsupportedOp as error:
        raise UnsupportedOp(ctx.node) from error


def _sum(graph: Graph, values: Sequence[str]) -> str:
    total = values[0]
    for value in values[1:]:
        total = graph.add("Add", total, value)
    return total


def _found(graph: Graph, gradients: Mapping[str, str], name: str, cotangents: Iterable[str]) -> str:
    if name not in gradients:
        raise GradientError(f"{', '.join(map(repr, cotangents))} does not depend on {name!r} in a differentiable way")
    graph.declare(gradients[name], graph.dtype(name) or np.float32, graph.shape(name))
    return gradients[name]
