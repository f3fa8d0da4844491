"""A network with an operator that only a plugin knows how to differentiate, explained."""

import importlib
import sys
import types

import numpy as np
import pytest
from onnx import parser

from harness.api import GradientRuleSpec, ModelCard, hookimpl
from harness.explaining import GraphExplainer, generator_of
from harness.gradient_rules import gradient_rules
from harness.host import Host
from harness.identity import _of_saliency
from harness.onnx.gradient import UnsupportedOp
from harness.onnx.scores import scores_graph
from harness.reading import read_suite

MODEL = """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
    g (float[N, 1, 2, 2] image) => (float[N, 4] logits) <int64[2] shape = {-1, 4}> {
        act = com.microsoft.QuickGelu<alpha = 1.0>(image)
        logits = Reshape(act, shape)
    }"""
SUITE = """[suite]
name = "rules"
[datasets.scenes]
use = "foreground"
count = 2
[models.classifier]
use = "cam-cnn"
[saliency.named]
use = "backprop"
[[explain]]
models = ["classifier"]
datasets = ["scenes"]
saliency = ["named", "guided-backprop", "occlusion"]
metrics = ["top-k"]
"""


CARD = ModelCard.model_validate({"task": "classification", "input": {"size": [2, 2], "color": "GRAY"}})


def twice(context):
    return [context.op("Mul", context.dy, context.number(2))]


@pytest.fixture
def acme(monkeypatch):
    module = types.ModuleType("acme_twice")
    module.twice = twice
    spec = GradientRuleSpec(name="QuickGelu", domain="com.microsoft", summary="Twice.", factory="acme_twice:twice")

    def harness_gradient_rules():
        return [spec]

    module.harness_gradient_rules = hookimpl(harness_gradient_rules)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_a_map(explained, card_of, acme):
    model, card = parser.parse_model(MODEL), card_of((2, 2), color="GRAY")
    with pytest.raises(UnsupportedOp, match="QuickGelu"):
        explained("backprop", model, card)
    rules = gradient_rules(Host.of(acme).specs(GradientRuleSpec))
    made = explained("backprop", model, card, rules=rules, channels="sum")
    maps = made.maps(np.ones((2, 1, 2, 2), np.float32), [1, 2])
    assert maps.tolist() == [[[0, 2], [0, 0]], [[0, 0], [2, 0]]]


@pytest.mark.parametrize("with_plugin", [False, True])
def test_cells_carry_the_rules(tmp_path, acme, with_plugin):
    """A generator inside of a graph has them, by a table or by its name; they are part of what its maps depend on."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    names = ("harness_saliency", "harness_classification", "harness_runtime")
    host = Host.of(*map(importlib.import_module, names), *([acme] if with_plugin else []))
    named, guided, occlusion = read_suite(path, host).benches[0].saliency
    expected = ["QuickGelu"] if with_plugin else []
    assert [rule.name for rule in named.rules] == [rule.name for rule in guided.rules] == expected
    assert occlusion.rules == ()
    assert ("rules" in _of_saliency(named)) == with_plugin
    made = generator_of(named.spec, named.params, named.rules)
    assert isinstance(made, GraphExplainer)
    graph = scores_graph(parser.parse_model(MODEL), CARD, path).model
    if with_plugin:
        assert made.build(graph, CARD).graph.output[0].name == "saliency"
    else:
        with pytest.raises(UnsupportedOp):
            made.build(graph, CARD)
