"""Operators without a rule are differentiated through what ONNX defines them by."""

import numpy as np
import pytest
import torch
from onnx import parser

from harness.onnx.gradient import Fed, UnsupportedOp, build, standard_rules


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("attributes", [{"lambd": 0.3, "bias": 0.1}, {"bias": 0.1}, {}], ids=len)
@pytest.mark.parametrize("dims", ["known", "batch"])
def test_shrink(op_model, check_vjp, dims, attributes):
    x = {"x": normal(2, 3, 4, 5)}
    assert ("", "Shrink") not in standard_rules().table
    check_vjp(op_model("Shrink", x, dims=dims, **attributes), x)


def test_mean_variance_normalization(op_model, run_float32):
    """Defined for float32 only; its gradient is that of layer normalization over the two axes."""
    x, cotangent = normal(2, 3, 4, 5).astype(np.float32), np.random.default_rng(1).normal(size=(2, 3, 4, 5))
    assert ("", "MeanVarianceNormalization") not in standard_rules().table
    model = op_model("MeanVarianceNormalization", {"x": x}, axes=[2, 3])
    graph = build(model, output="y", wrt="x", cotangent=Fed("cotangent"))
    (gradient,) = run_float32(graph, {"x": x, "cotangent": cotangent.astype(np.float32)}, ["x.gradient"])
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.layer_norm(tensor, (4, 5), eps=0).backward(torch.tensor(cotangent))
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [0, 1])
def test_attention(op_model, check_vjp, causal):
    """softmax(Q K' / sqrt(d)) V over (N, heads, length, d)."""
    inputs = {"q": normal(2, 3, 4, 5), "k": normal(2, 3, 6, 5)[:, :, ::-1].copy(), "v": normal(2, 3, 6, 5) * 2}

    def forward(feeds):
        logits = feeds["q"] @ feeds["k"].transpose(0, 1, 3, 2) / np.sqrt(5)
        if causal:
            logits = np.where(np.tril(np.ones((4, 6), bool)), logits, -np.inf)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True) @ feeds["v"]

    assert ("", "Attention") not in standard_rules().table
    model = op_model("Attention", inputs, opset=23, is_causal=causal)
    check_vjp(model, inputs, forward=forward, runtime=False, tolerance=1e-5)


def test_rotary_embedding(op_model, check_vjp):
    caches = {"cos": normal(2, 5, 2), "sin": normal(2, 5, 2)[::-1].copy()}
    x = {"x": normal(2, 2, 5, 4)}
    check_vjp(op_model("RotaryEmbedding", x, constants=caches, opset=23), x)


def test_an_operator_with_neither_rule_nor_definition_is_named():
    model = parser.parse_model("""<ir_version: 10, opset_import: ["": 21]>
        g (float[n, 4] image) => (float[n, 4] scores) { scores = Hardmax(image) }""")
    with pytest.raises(UnsupportedOp, match="'Hardmax' of domain 'ai.onnx'.*harness_gradient_rules"):
        build(model, output="scores", wrt="image")
