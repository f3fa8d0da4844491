"""Activations written out by exporters are found, whatever the order of their arithmetic, and nothing else is."""

import numpy as np
import onnx
import pytest
from onnx import parser

from harness.onnx.gradient import Fed, Graph, append_gradients, modifier_rules, prepare, standard_rules
from harness.onnx.gradient.patterns import with_activations

GELU_TORCH = "d = Div(x, root) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)"
GELU_OTHER = "s = Mul(root_half, x) h = Mul(x, half) e = Erf(s) a = Add(one, e) y = Mul(a, h)"
GELU_TANH = ("p = Pow(x, three) q = Mul(p, cube) r = Add(x, q) s = Mul(r, k) t = Tanh(s) u = Add(t, one) "
             "h = Mul(x, half) y = Mul(h, u)")
SILU = "s = Sigmoid(x) y = Mul(x, s)"
QUICK_GELU = "z = Mul(x, quick) s = Sigmoid(z) y = Mul(x, s)"
HARD_SWISH = "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)"
HARD_SIGMOID_SWISH = "s = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(x, s)"
MISH = "p = Softplus(x) t = Tanh(p) y = Mul(x, t)"
CONSTANTS = {"root": 2**0.5, "root_half": 0.5**0.5, "one": 1, "half": 0.5, "three": 3, "cube": 0.044715,
             "k": (2 / np.pi) ** 0.5, "quick": 1.702, "zero": 0, "six": 6}


def model(body, kind="double"):
    """The lines in ONNX's text form with an Abs before and a Neg behind, so that the region is inside of a graph."""
    lines = ("x = Abs(input) " + body + " output = Neg(y)").replace(") ", ")\n")
    used = {name: value for name, value in CONSTANTS.items() if name in body.replace("(", " ").replace(",", " ")
            .replace(")", " ").split()}
    constants = ", ".join(f"{kind} {name} = {{{value!r}}}" for name, value in used.items())
    return parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 20]>
        g ({kind}[2, 30] input) => ({kind}[2, 30] output) <{constants}> {{ {lines} }}""")


@pytest.mark.parametrize(("body", "op", "attributes"), [
    (GELU_TORCH, "Gelu", {}), (GELU_OTHER, "Gelu", {}), (GELU_TANH, "Gelu", {"approximate": b"tanh"}),
    (SILU, "Swish", {"alpha": 1.0}), (QUICK_GELU, "Swish", {"alpha": 1.702}), (HARD_SWISH, "HardSwish", {}),
    (HARD_SIGMOID_SWISH, "HardSwish", {}), (MISH, "Mish", {}),
], ids=["gelu-torch", "gelu-other", "gelu-tanh", "silu", "quick-gelu", "hard-swish", "hard-sigmoid-swish", "mish"])
def test_found(check_vjp, body, op, attributes):
    nodes = with_activations(Graph(model(body)), ())
    assert [node.op_type for node in nodes] == ["Abs", op, "Neg"]
    found = {each.name: onnx.helper.get_attribute_value(each) for each in nodes[1].attribute}
    assert found == pytest.approx(attributes, rel=1e-5) if "alpha" in attributes else found == attributes
    x = np.random.default_rng(0).normal(size=(2, 30)) * 2
    check_vjp(model(body), {"input": x}, output="output", tolerance=1e-5)


@pytest.mark.parametrize("body", [
    "s = Sigmoid(x) y = Mul(s, half)",
    "n = Neg(x) s = Sigmoid(n) y = Mul(x, s)",
    "s = Sigmoid(x) t = Tanh(x) y = Mul(t, s)",
    "e = Erf(x) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
], ids=["scaled-sigmoid", "foreign-operator", "two-bends", "another-scale"])
def test_not_found(check_vjp, body):
    graph = Graph(model(body))
    assert len(with_activations(graph, ())) == len(graph.nodes)
    check_vjp(model(body), {"input": np.random.default_rng(0).normal(size=(2, 30))}, output="output")


def test_a_tensor_that_is_asked_for_stays(check_vjp):
    graph = Graph(model(SILU))
    assert len(with_activations(graph, ["s"])) == len(graph.nodes)


def test_a_tensor_that_is_used_elsewhere_keeps_its_gradient(check_vjp):
    body = SILU.replace("y = Mul(x, s)", "z = Mul(x, s) y = Add(z, s)")
    graph = Graph(model(body))
    assert len(with_activations(graph, ())) == len(graph.nodes)
    check_vjp(model(body), {"input": np.random.default_rng(0).normal(size=(2, 30))}, output="output")


def test_modifiers_apply_to_what_was_found(run_gradients):
    """A Silu in pieces is modified as a whole: only positive gradients of positive activations."""
    x = -np.random.default_rng(0).uniform(0.1, 3, (2, 30))
    cotangent = np.random.default_rng(1).normal(size=(2, 30))
    guided = modifier_rules("guided", standard_rules())
    body = "n = Neg(x) s = Sigmoid(n) y = Mul(n, s)"
    gradient = run_gradients(model(body), {"input": x}, cotangent, output="output", overrides=guided)["input"]
    assert not gradient.any()
    assert run_gradients(model(body), {"input": x}, cotangent, output="output")["input"].all()


def test_the_graph_itself_keeps_its_nodes():
    before = model(GELU_TORCH)
    graph = Graph(prepare(before))
    start = Fed().append(graph, "output")
    append_gradients(graph, {"output": start}, ["input"], standard_rules())
    assert [node.op_type for node in graph.nodes][:7] == [node.op_type for node in before.graph.node]
