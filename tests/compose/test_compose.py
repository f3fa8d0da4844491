"""Two graphs in one: the same as running them one after the other, or a message that says why not."""

import numpy as np
import onnx
import pytest
from onnx import parser
from pooled_cnn import SIZE, pooled_cnn

from harness.errors import ModelFileError
from harness.onnx.compose import compose
from harness.onnx.runtime import onnxruntime

DOUBLE = """<ir_version: 8, opset_import: ["": 18]>
double (float[n, 2] x) => (float[n, 2] y) {
    two = Constant<value_float = 2.0>()
    inner = Mul(x, two)
    y = Identity(inner)
}"""
SUM = """<ir_version: 8, opset_import: ["": 18]>
sum (float[m, 2] a, float[m, 2] b) => (float[m, 2] total) { inner = Add(a, b) total = Neg(inner) }"""
X = np.array([[1, 2], [3, 4]], np.float32)


def run(model, **feeds):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime().InferenceSession(model.SerializeToString())
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feeds), strict=True))


def graph(text, **replaced):
    for old, new in replaced.items():
        text = text.replace(old, new)
    return parser.parse_model(text)


def test_one_feeds_the_other_and_both_read_one_input():
    joined = compose(graph(DOUBLE), graph(SUM), {"a": "y", "b": "x"})
    assert [value.name for value in joined.graph.input] == ["x"]
    (name, total), = run(joined, x=X).items()
    assert name == "total"
    np.testing.assert_array_equal(total, -3 * X)


def test_what_is_not_connected_is_an_input_and_what_is_kept_an_output():
    joined = compose(graph(DOUBLE), graph(SUM), {"a": "y"}, keep=["y"])
    found = run(joined, x=X, b=X + 1)
    np.testing.assert_array_equal(found["total"], -(3 * X + 1))
    np.testing.assert_array_equal(found["y"], 2 * X)


def test_the_models_stay_as_they_are():
    one, two = graph(DOUBLE), graph(SUM)
    before = one.SerializeToString(), two.SerializeToString()
    compose(one, two, {"a": "y"})
    assert (one.SerializeToString(), two.SerializeToString()) == before


def test_inner_names_may_be_equal_to_anything():
    """The second's output is an inner tensor of the first, and its inner tensor is called like the first's input."""
    two = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
    two (float[m, 2] a) => (float[m, 2] inner) { x = Neg(a) inner = Exp(x) }""")
    np.testing.assert_allclose(run(compose(graph(DOUBLE), two, {"a": "y"}), x=X)["inner"], np.exp(-2 * X), rtol=1e-6)


def test_weights_of_one_name_and_different_values_stay_apart():
    one, two = pooled_cnn(seed=0), pooled_cnn(seed=1)
    for value in (two.graph.output[0], two.graph.node[-1]):
        if isinstance(value, onnx.NodeProto):
            value.output[0] = "other"
        else:
            value.name = "other"
    joined = compose(one, two, {"image": "image"}, keep=["logits"])
    image = np.random.default_rng(0).normal(size=(2, 3, *SIZE)).astype(np.float32)
    found = run(joined, image=image)
    np.testing.assert_allclose(found["logits"], run(pooled_cnn(seed=0), image=image)["logits"], rtol=1e-5)
    np.testing.assert_allclose(found["other"], run(pooled_cnn(seed=1), image=image)["logits"], rtol=1e-5)


def test_what_both_compute_is_computed_once():
    one, two = pooled_cnn(), pooled_cnn()
    two.graph.node.append(onnx.helper.make_node("Neg", ["logits"], ["negative"]))
    two.graph.output[0].name = "negative"
    joined = compose(one, two, {"image": "image"}, keep=["logits"])
    assert [node.op_type for node in joined.graph.node].count("Conv") == 2
    assert len(joined.graph.initializer) == len(one.graph.initializer)
    found = run(joined, image=np.ones((1, 3, *SIZE), np.float32))
    np.testing.assert_array_equal(found["negative"], -found["logits"])


def test_the_older_graph_is_brought_to_the_newer_opset():
    joined = compose(graph(DOUBLE), graph(SUM, **{"18": "13"}), {"a": "y", "b": "y"})
    assert joined.opset_import[0].version == 18
    np.testing.assert_array_equal(run(joined, x=X)["total"], -4 * X)


def test_names_inside_of_a_loop_stay_apart():
    loop = """<ir_version: 8, opset_import: ["": 18]>
    loop (float[n, 2] x) => (float[n, 2] y) {
        three = Constant<value = int64 {3}>()
        one = Constant<value_float = 1.0>()
        y = Loop(three, , x) <body = body (int64 i, bool going, float[n, 2] inner) => (bool on, float[n, 2] next) {
            on = Identity(going)
            next = Add(inner, one)
        }>
    }"""
    second = loop.replace("[n, 2] y)", "[n, 2] z)").replace("y = Loop", "z = Loop").replace("1.0", "10.0")
    joined = compose(parser.parse_model(loop), parser.parse_model(second), {"x": "y"}, keep=["y"])
    found = run(joined, x=X)
    np.testing.assert_array_equal(found["y"], X + 3)
    np.testing.assert_array_equal(found["z"], X + 33)


@pytest.mark.parametrize(("connect", "keep", "replaced", "message"), [
    ({}, [], {}, "nothing connects the two graphs.*a, b.*y"),
    ({"A": "y"}, [], {}, "second graph has no input 'A'.*a, b"),
    ({"a": "z"}, [], {}, "first graph has no input or output 'z'"),
    ({"a": "inner"}, [], {}, "first graph has no input or output 'inner'"),
    ({"a": "y"}, ["x"], {}, "first graph has no output 'x'"),
    ({"a": "y"}, [], {"a, b": "a, x", "float[m, 2] b": "float[m, 2] x"}, "both graphs have 'x'"),
    ({"a": "y"}, ["y"], {"total": "y"}, "output 'y' would clash"),
    ({"a": "y"}, [], {"total": "x"}, "output 'x' would clash"),
    ({"a": "y"}, [], {"[m, 2] a": "[m, 3] a"}, r"'y' of the first graph is float \(n, 2\).*'a'.*takes float \(m, 3\)"),
    ({"a": "y"}, [], {"[m, 2] a": "[m] a"}, r"float \(n, 2\).*float \(m\)"),
    ({"a": "y"}, [], {"float[m, 2] a": "double[m, 2] a"}, r"float \(n, 2\).*double \(m, 2\)"),
])
def test_what_does_not_fit_is_said(connect, keep, replaced, message):
    with pytest.raises(ModelFileError, match=message):
        compose(graph(DOUBLE), graph(SUM, **replaced), connect, keep=keep)


def test_an_input_that_is_passed_on_is_refused():
    two = graph(SUM, **{"=> (float[m, 2] total)": "=> (float[m, 2] total, float[m, 2] b)"})
    with pytest.raises(ModelFileError, match="passes its input 'b' on"):
        compose(graph(DOUBLE), two, {"a": "y", "b": "x"})


def test_other_operator_sets_must_agree():
    one, two = graph(DOUBLE), graph(SUM)
    for model, version in ((one, 1), (two, 2)):
        model.opset_import.append(onnx.helper.make_opsetid("custom", version))
    with pytest.raises(ModelFileError, match="versions 1 and 2 of the operators of 'custom'"):
        compose(one, two, {"a": "y", "b": "x"})
