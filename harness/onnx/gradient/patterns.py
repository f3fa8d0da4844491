"""Activations that exporters write out as arithmetic: found, so that they are differentiated (and modified) as one.

Gelu as x (1 + erf(x / sqrt 2)) / 2, Silu as x sigmoid(x), HardSwish as x clip(x + 3, 0, 6) / 6, Mish as
x tanh(softplus(x)), in whatever order and with whatever constants: a candidate is recognized by its values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from harness.onnx.gradient.graph import Graph, made_by

Array = NDArray[Any]
_BENDS = frozenset({"Clip", "Erf", "HardSigmoid", "Max", "Min", "Relu", "Sigmoid", "Softplus", "Tanh"})
_LINKS = _BENDS | {"Add", "Div", "Exp", "Log", "Mul", "Pow", "Sub"}
_MOST_NODES = 10
_POINTS = np.linspace(-6, 6, 61).astype(np.float32)


def with_activations(graph: Graph, visible: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes of the graph with each such region replaced by one node, only to be differentiated.

    visible: tensors that others refer to; a region that hides one of them stays as it is.
    """
    nodes = graph.nodes
    users: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, set()).add(made_by(node))
    order = {name: index for index, node in enumerate(nodes) for name in node.output}
    hidden: set[str] = set()
    replaced: dict[str, onnx.NodeProto] = {}
    for node in reversed(nodes):
        if node.op_type in ("Mul", "Div") and made_by(node) not in hidden:
            region, activation = _recognized(graph, node, order)
            inner = {name for each in region[1:] for name in each.output}
            members = set(map(made_by, region))
            if activation and not inner & set(visible) and all(users[name] <= members for name in inner):
                replaced[made_by(node)] = activation
                hidden |= members - {made_by(node)}
    return [replaced.get(made_by(node), node) for node in nodes if made_by(node) not in hidden]


def _recognized(graph: Graph, last: onnx.NodeProto, order: Mapping[str, int]
                ) -> tuple[list[onnx.NodeProto], onnx.NodeProto | None]:
    """The smallest region that ends with `last` and is an activation of one tensor."""
    region, frontier = [last], _computed(graph, last)
    while frontier and len(region) <= _MOST_NODES:
        if len(frontier) == 1 and any(node.op_type in _BENDS for node in region):
            activation = _named(graph, region, frontier[0])
            if activation:
                return region, activation
        latest = max(frontier, key=lambda name: order.get(name, -1))
        node = graph.producer(latest)
        if node is None or node.op_type not in _LINKS or node.domain not in ("", "ai.onnx"):
            break
        region.append(node)
        frontier = sorted({*(name for name in frontier if name != latest), *_computed(graph, node)})
    return [], None


def _computed(graph: Graph, node: onnx.NodeProto) -> list[str]:
    """Inputs that are not constants of one element."""
    values = {name: graph.value(name) for name in node.input if name}
    return sorted({name for name, value in values.items() if value is None or value.size != 1})


def _named(graph: Graph, region: Sequence[onnx.NodeProto], source: str) -> onnx.NodeProto | None:
    """One node that stands for the region, if its values are those of a known activation."""
    y = _values(graph, region, source)
    if y is None:
        return None
    output = region[0].output[0]
    for op, attributes, function in _candidates(y):
        if np.allclose(function(_POINTS.astype(np.float64)), y, rtol=1e-4, atol=1e-4):
            return helper.make_node(op, [source], [output], name=region[0].name, **attributes)
    return None


def _values(graph: Graph, region: Sequence[onnx.NodeProto], source: str) -> Array | None:
    """Of the region at _POINTS, None where it can not be computed."""
    from onnx.reference import ReferenceEvaluator

    made = {name for node in region for name in node.output}
    constants = {name for node in region for name in node.input if name and name != source and name not in made}
    tensors = [numpy_helper.from_array(_float32(graph.value(name)), name) for name in sorted(constants)]
    body = helper.make_graph(
        list(reversed(region)), "region", [helper.make_tensor_value_info(source, TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info(region[0].output[0], TensorProto.FLOAT, None)], tensors)
    model = helper.make_model(body, opset_imports=[each for each in graph.model.opset_import if not each.domain])
    try:
        with np.errstate(all="ignore"):
            return np.asarray(next(iter(ReferenceEvaluator(model).run(None, {source: _POINTS}))), np.float64)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError):
        return None


def _float32(value: Array | None) -> Array:
    array = np.asarray(value)
    return array.astype(np.float32).reshape(()) if array.dtype.kind == "f" else array


def _candidates(y: Array) -> Iterable[tuple[str, dict[str, Any], Callable[[Array], Array]]]:
    from scipy.special import erf, expit

    yield "Gelu", {}, lambda x: x / 2 * (1 + erf(x / np.sqrt(2)))
    yield "Gelu", {"approximate": "tanh"}, lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    yield "HardSwish", {}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)
    yield "Mish", {}, lambda x: x * np.tanh(np.logaddexp(0, x))
    at = np.abs(_POINTS - 1).argmin()
    share = float(y[at] / _POINTS[at])
    if 0 < share < 1:
        alpha = float(np.log(share / (1 - share)) / _POINTS[at])
        alpha = 1.0 if abs(alpha - 1) < 1e-5 else alpha
        yield "Swish", {"alpha": alpha}, lambda x: x * expit(alpha * x)
