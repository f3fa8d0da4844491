"""Which scalar, by which tensors, with which outputs; and what is said when that can not be done."""

import json

import numpy as np
import onnx
import pytest
from onnx import parser
from reference_ops import evaluate

from harness.errors import CellError
from harness.onnx.gradient import (
    ArgMax,
    ClassIndex,
    Fed,
    GradientError,
    Graph,
    Ones,
    Tensor,
    UnsupportedOp,
    append_gradients,
    build,
    modifier_rules,
    prepare,
    standard_rules,
)
from harness.onnx.session import open_session

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4))
X = np.random.default_rng(1).normal(size=(2, 3))
HEADER = '<ir_version: 10, opset_import: ["" : 20]>'


@pytest.fixture
def model():
    """Two branches meet: hidden = exp(x), scores = (hidden + x) W, double."""
    weights = ", ".join(map(repr, WEIGHTS.ravel().tolist()))
    parsed = parser.parse_model(f"""{HEADER} g (double[batch, 3] x) => (double[batch, 4] scores, int64[batch] best)
        <double[3, 4] w = {{ {weights} }}> {{
            hidden = Exp(x)
            sum = Add(hidden, x)
            scores = MatMul(sum, w)
            best = ArgMax<axis = 1, keepdims = 0>(scores)
        }}""")
    onnx.checker.check_model(parsed, full_check=True)
    return parsed


def run(graph, **feeds):
    names = [value.name for value in graph.graph.output]
    return dict(zip(names, evaluate(graph, {"x": X, **feeds}), strict=True))


def test_a_class_by_an_input_and_an_inner_tensor(model):
    graph = build(model, output="scores", wrt=["x", "hidden"])
    onnx.checker.check_model(graph, full_check=True)
    assert [value.name for value in graph.graph.input] == ["x", "class"]
    assert [value.name for value in graph.graph.output] == ["scores", "best", "x.gradient", "hidden.gradient"]
    results = run(graph, **{"class": np.array([2, -1])})
    columns = WEIGHTS.T[[2, 3]]
    np.testing.assert_allclose(results["scores"], (np.exp(X) + X) @ WEIGHTS)
    np.testing.assert_allclose(results["hidden.gradient"], columns)
    np.testing.assert_allclose(results["x.gradient"], columns * (np.exp(X) + 1))


@pytest.mark.parametrize(("cotangent", "feeds", "weights"), [
    (ArgMax(), {}, "best"), (Ones(), {}, np.ones((2, 4))),
    (Fed("dy"), {"dy": np.arange(8.0).reshape(2, 4)}, np.arange(8.0).reshape(2, 4)),
    (ClassIndex("label"), {"label": np.array([0, 1])}, np.eye(4)[[0, 1]]),
], ids=["argmax", "ones", "fed", "class"])
def test_cotangents(model, cotangent, feeds, weights):
    results = run(build(model, output="scores", wrt="hidden", cotangent=cotangent), **feeds)
    expected = np.eye(4)[results["best"]] if isinstance(weights, str) else weights
    np.testing.assert_allclose(results["hidden.gradient"], expected @ WEIGHTS.T)


def test_a_cotangent_from_the_graph(model):
    """The gradient of the sum of squares over two."""
    results = run(build(model, output="scores", wrt="hidden", cotangent=Tensor("scores")))
    np.testing.assert_allclose(results["hidden.gradient"], results["scores"] @ WEIGHTS.T)


def test_a_class_of_a_segmentation_is_summed_over_pixels():
    model = parser.parse_model(f"""{HEADER} g (double[2, 3, 2, 2] x) => (double[2, 3, 2, 2] y) {{ y = Mul(x, x) }}""")
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    (_, gradient) = evaluate(build(model, output="y", wrt="x"), {"x": x, "class": np.array([2, 0])})
    np.testing.assert_allclose(gradient, 2 * x * np.eye(3)[[2, 0]][:, :, None, None])


def test_the_output_itself(model):
    results = run(build(model, output="scores", wrt="scores", cotangent=Ones(), names=["ones"]))
    assert (results["ones"] == 1).all()


def test_only_what_lies_between_is_differentiated():
    """Floor is before the layer, an operator without a rule beside the path."""
    model = parser.parse_model(f"""{HEADER} g (float[2, 3] x) => (float[2, 3] y, float[2, 3] z) {{
        layer = Floor(x)
        y = Exp(layer)
        z = Hardmax(layer)
    }}""")
    graph = build(model, output="y", wrt="layer", cotangent=Ones())
    added = [node.op_type for node in graph.graph.node][len(model.graph.node):]
    assert added == ["Shape", "Expand", "Mul", "Identity"]


def test_the_model_is_not_changed(model):
    before = model.SerializeToString(deterministic=True)
    build(model, output="scores", wrt="x")
    assert model.SerializeToString(deterministic=True) == before


def test_metadata(model):
    graph = build(model, output="scores", wrt="x")
    facts = {each.key: json.loads(each.value) for each in graph.metadata_props}
    assert facts["harness.gradient"] == {"output": "scores", "wrt": ["x"], "modified": {}}


def test_metadata_counts_what_was_modified():
    model = parser.parse_model(f"""{HEADER} g (float[2, 3] x) => (float[2, 3] y) {{
        a = Relu(x)
        s = Sigmoid(a)
        b = Mul(a, s)
        y = Relu(b)
    }}""")
    graph = build(model, output="y", wrt="x", overrides=modifier_rules("guided", standard_rules()))
    assert json.loads(graph.metadata_props[-1].value)["modified"] == {"Relu": 2, "Swish": 1}


def test_metadata_does_not_count_a_clip_that_kept_its_rule():
    """One guards a logarithm, the other is a rectifier."""
    model = parser.parse_model(f"""{HEADER} g (float[2, 3] x) => (float[2, 3] y)
        <float low = {{1e-7}}, float zero = {{0}}> {{
            a = Clip(x, zero)
            b = Clip(a, low)
            y = Log(b)
    }}""")
    graph = build(model, output="y", wrt="x", overrides=modifier_rules("guided", standard_rules()))
    assert json.loads(graph.metadata_props[-1].value)["modified"] == {"Clip": 1}


def test_two_backward_passes_in_one_graph(model):
    """The second derivative of the sum of exponentials."""
    graph = Graph(prepare(model, keep=["hidden"]))
    start = Ones().append(graph, "hidden")
    first = append_gradients(graph, {"hidden": start}, ["x"], standard_rules())["x"]
    second = append_gradients(graph, {first: start}, ["x"], standard_rules())["x"]
    graph.add_output(second, "second", np.float64, None)
    np.testing.assert_allclose(run(graph.model)["second"], np.exp(X))


def test_a_class_out_of_range_is_an_error_of_the_runtime(tmp_path):
    model = parser.parse_model(f"""{HEADER} g (float[N, 3] x) => (float[N, 3] y) {{ y = Exp(x) }}""")
    path = tmp_path / "graph.onnx"
    onnx.save(build(model, output="y", wrt="x"), str(path))
    session = open_session(path)
    x = np.ones((2, 3), np.float32)
    assert session.run({"x": x, "class": np.array([0, 2])})["x.gradient"].sum() > 0
    with pytest.raises(CellError, match="out of data bounds"):
        session.run({"x": x, "class": np.array([0, 3])})


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_constants_have_the_type_of_the_graph(kind):
    header = HEADER.replace("20", "22")
    model = parser.parse_model(f"""{header} g ({kind}[2, 3, 4, 4] x) => ({kind}[2, 3, 2, 2] y) {{
        r = HardSwish(x)
        g = Gelu(r)
        s = Softplus(g)
        y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(s)
    }}""")
    onnx.checker.check_model(build(model, output="y", wrt="x"), full_check=True)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"output": "scorse", "wrt": "x"}, 'did you mean "scores"'),
    ({"output": "scores", "wrt": "hiden"}, 'did you mean "hidden"'),
    ({"output": "hidden", "wrt": "scores", "cotangent": Ones()}, "'hidden' does not depend on 'scores'"),
    ({"output": "best", "wrt": "x", "cotangent": Ones()}, "'best' does not depend on 'x' in a differentiable way"),
    ({"output": "scores", "wrt": "x", "cotangent": Fed("hidden")}, "has a tensor named 'hidden' already"),
    ({"output": "scores", "wrt": "x", "names": ["hidden"]}, "has a tensor named 'hidden' already"),
    ({"output": "scores", "wrt": "x", "cotangent": Tensor("no")}, "cotangent 'no' is not a tensor"),
])
def test_refused(model, arguments, message):
    with pytest.raises(GradientError, match=message):
        build(model, **arguments)


@pytest.mark.parametrize(("shape", "cotangent", "message"), [
    ("[3]", ClassIndex(), r"when its shape is \(N, K\) or \(N, K, ...\), it is \(3,\)"),
    ("[2, 3, 4]", ArgMax(), r"when its shape is \(N, K\), it is \(2, 3, 4\)"),
])
def test_outputs_without_classes(shape, cotangent, message):
    model = parser.parse_model(f"""{HEADER} g (float{shape} x) => (float{shape} y) {{ y = Exp(x) }}""")
    with pytest.raises(GradientError, match=message):
        build(model, output="y", wrt="x", cotangent=cotangent)


@pytest.mark.parametrize(("body", "message"), [
    ("w = Reshape(x, s) y = Conv(x, w)", "its weights are computed from what is differentiated"),
    ("m = ReduceMax<keepdims = 0>(x) y = Clip(x, , m)", "its bounds are computed from what is differentiated"),
    ('c = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(free, k) y = Relu(c)', "auto_pad = SAME_UPPER with stride 2"),
    ("y = MaxPool<kernel_shape = [2, 2], storage_order = 1>(x)", "storage_order = 1 is not covered"),
])
def test_cases_that_are_not_covered(body, message):
    lines = body.replace(") ", ")\n")
    wrt = "free" if "free" in body else "x"
    model = parser.parse_model(f"""{HEADER} g (float[1, 1, 4, 4] x, float[1, 1, h, w] free) => (float[a, b, c, d] y)
        <int64[4] s = {{1, 1, 4, 4}}, float[1, 1, 3, 3] k = {{1, 1, 1, 1, 1, 1, 1, 1, 1}}> {{ {lines} }}""")
    with pytest.raises(GradientError, match=message) as caught:
        build(model, output="y", wrt=wrt, cotangent=Ones())
    assert "that makes" in str(caught.value)


NESTED = """deeper = If (flag) <then_branch = g3 () => (float[2] a) { a = Exp(x) },
                                else_branch = g4 () => (float[2] b) { b = Neg(one) }>
            inside = Neg(deeper)"""


@pytest.mark.parametrize("inner", ["inside = Exp(x)", NESTED], ids=["body", "nested"])
def test_a_tensor_that_a_body_captures_is_not_overlooked(inner):
    """The gradient would be that of the other branch of the sum alone."""
    model = parser.parse_model(f"""{HEADER} g (float[2] x, bool flag, float[2] one) => (float[2] y) {{
        picked = If (flag) <then_branch = g1 () => (float[2] inside) {{ {inner} }},
                            else_branch = g2 () => (float[2] other) {{ other = Neg(one) }}>
        y = Add(picked, x)
    }}""")
    with pytest.raises(UnsupportedOp, match="'If'.* takes 'x' from the graph around it") as caught:
        build(model, output="y", wrt="x", cotangent=Ones())
    assert "harness_gradient_rules" not in str(caught.value)
    assert build(model, output="y", wrt="picked", cotangent=Ones())
