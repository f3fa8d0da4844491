"""Operators without a rule are differentiated through the definition that the standard gives of them."""

import numpy as np
import pytest
from onnx import parser

from harness.onnx.gradient import UnsupportedOp, build, prepare

RANDOM = np.random.default_rng(5)


def operators(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("heads", [(2, 2), (4, 2)], ids=["as-many", "grouped"])
def test_attention(op_model, check_vjp, causal, heads):
    query, key = heads
    inputs = {"q": RANDOM.normal(size=(2, query, 5, 3)), "k": RANDOM.normal(size=(2, key, 5, 3)),
              "v": RANDOM.normal(size=(2, key, 5, 4))}
    model = op_model("Attention", inputs, opset=23, is_causal=causal)
    check_vjp(model, inputs, tolerance=1e-5)
    assert "Attention" not in operators(prepare(model))


def test_rotary_embedding(op_model, check_vjp):
    x = {"x": RANDOM.normal(size=(2, 2, 5, 4))}
    caches = {"cos": RANDOM.normal(size=(2, 5, 2)), "sin": RANDOM.normal(size=(2, 5, 2))}
    check_vjp(op_model("RotaryEmbedding", x, constants=caches, opset=23), x)


def test_operators_that_carry_no_gradient_stay():
    """Range is defined by a Loop, which would be a great deal worse than Range."""
    model = parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[n, 4] image) => (float[n, 4] scores) <int64 zero = {0}, int64 one = {1}> {
            shape = Shape<start = 1>(image)
            end = Squeeze(shape)
            size = Size(image)
            positions = Range(zero, size, one)
            ten = Cast<to = 1>(positions)
            most = ReduceMax(ten)
            scores = Mul(image, most)
        }""")
    assert "Range" in operators(prepare(model))
    assert "Range" in operators(build(model, output="scores", wrt="image"))


def test_an_operator_with_neither_is_named():
    model = parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[n, 4] image) => (float[n, 4] scores) { scores = Hardmax(image) }""")
    with pytest.raises(UnsupportedOp, match="'Hardmax' of domain 'ai.onnx'.*harness_gradient_rules"):
        build(model, output="scores", wrt="image")
