"""Gradient rules that plugins declare reach the generators, from a suite and from the command line."""

import sys
import types

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from pooled_cnn import SIZE, pooled_cnn

from harness.api import GradientRuleSpec, ModelFileError
from harness.explaining import generator_of
from harness.onnx.gradient import standard_rules
from harness_saliency.graph_specs import specs

SPEC = next(spec for spec in specs() if spec.name == "grad-cam")


@pytest.fixture
def twice(monkeypatch):
    """The rule of Gemm with twice the gradient."""
    module = types.ModuleType("acme_twice")

    def rule(context):
        doubled = context.op("Mul", context.dy, context.number(2))
        return standard_rules().table["", "Gemm"](context.with_cotangent(doubled))

    module.rule = rule
    monkeypatch.setitem(sys.modules, "acme_twice", module)
    return GradientRuleSpec(name="Gemm", summary="Twice as much.", factory="acme_twice:rule")


def test_a_declared_rule_is_used(twice, card_of, explained):
    model, card = pooled_cnn(), card_of(SIZE)
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"
    image = np.random.default_rng(0).normal(size=(1, 3, *SIZE)).astype(np.float32)
    maps = [ReferenceEvaluator(generator_of(SPEC, SPEC.params(sign="none"), rules).build(model, card)).run(
        None, {"image": image, "class": np.array([2])})[0] for rules in ((), (twice,))]
    assert maps[0].any()
    np.testing.assert_allclose(maps[1], 2 * maps[0], rtol=1e-5)


def test_an_operator_without_a_rule_is_named(card_of, explained):
    model = pooled_cnn()
    model.graph.node.append(helper.make_node("Det", ["logits"], ["end"], domain="com.acme"))
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    model.graph.output[0].name = "end"
    with pytest.raises(ModelFileError, match=r"'Det' of domain 'com.acme'.*harness_gradient_rules"):
        explained("grad-cam", model, card_of(SIZE))
