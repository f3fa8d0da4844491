"""Rules that plugins add, and what is said where a rule is missing or wrong."""

import sys
import types

import numpy as np
import onnx
import pytest
from onnx import parser

from harness.api import GradientRuleSpec, hookimpl
from harness.errors import PluginError
from harness.gradient_rules import gradient_rules
from harness.host import Host
from harness.onnx.gradient import Fed, GradientError, Rules, UnsupportedOp, build, rule, standard_rules

MODEL = """<ir_version: 10, opset_import: ["" : 20, "com.acme" : 1]>
    g (double[2, 3] x) => (double[2, 3] y) {
        r = Relu(x)
        h = com.acme.Halve(r)
        y = Neg(h)
    }"""


@pytest.fixture
def model():
    return parser.parse_model(MODEL)


def plugin(name, *specs):
    module = types.ModuleType(name)
    exec("def harness_gradient_rules():\n    return specs", {"specs": specs}, vars(module))
    module.harness_gradient_rules = hookimpl(module.harness_gradient_rules)
    return module


def rules_of(*plugins):
    return gradient_rules(Host.of(*plugins).specs(GradientRuleSpec))


def halve(context):
    return [context.op("Mul", context.dy, context.number(0.5))]


@pytest.fixture
def acme(monkeypatch):
    module = types.ModuleType("acme_rules")
    module.halve, module.broken, module.short = halve, lambda context: 1 / 0, lambda context: "name"
    monkeypatch.setitem(sys.modules, "acme_rules", module)
    return lambda factory="halve", domain="com.acme", name="Halve": GradientRuleSpec(
        name=name, domain=domain, summary="Half of the incoming gradient.", factory=f"acme_rules:{factory}")


def test_a_missing_rule_says_how_to_add_one(model):
    with pytest.raises(UnsupportedOp) as caught:
        build(model, output="y", wrt="x", cotangent=Fed())
    assert (caught.value.op_type, caught.value.domain) == ("Halve", "com.acme")
    for part in ("'Halve'", "'com.acme'", "makes 'h'", "harness_gradient_rules", 'GradientRuleSpec(name="Halve"'):
        assert part in str(caught.value)


def test_an_operator_off_the_path_needs_no_rule(model):
    graph = build(model, output="y", wrt="h", cotangent=Fed())
    assert [node.op_type for node in graph.graph.node].count("Neg") == 2


def test_a_plugin_adds_a_rule(model, acme):
    rules = rules_of(plugin("acme", acme()))
    graph = build(model, output="y", wrt="x", cotangent=Fed(), rules=rules)
    added = graph.graph.node[len(model.graph.node):]
    assert [node.op_type for node in added] == ["Neg", "Mul", "Greater", "Where", "Identity"]


def test_a_plugin_may_replace_a_rule(run_gradients, op_model, acme):
    rules = rules_of(plugin("acme", acme(name="Relu", domain="")))
    x = {"x": np.array([-1.0, 2.0])}
    gradient = run_gradients(op_model("Relu", x), x, np.array([1.0, 1.0]), rules=rules)["x"]
    assert gradient.tolist() == [0.5, 0.5]


def test_two_plugins_for_one_operator(acme):
    with pytest.raises(PluginError, match="two plugins declare a gradient rule for \"Halve\""):
        rules_of(plugin("one", acme()), plugin("two", acme()))


def test_the_standard_domain_has_two_names(acme):
    with pytest.raises(PluginError, match="two plugins declare a gradient rule for \"Relu\""):
        rules_of(plugin("one", acme(name="Relu", domain="")), plugin("two", acme(name="Relu", domain="ai.onnx")))


def test_one_name_in_two_domains(acme):
    rules = rules_of(plugin("one", acme(), acme(domain="org.other")))
    nodes = [onnx.helper.make_node("Halve", ["x"], ["y"], domain=domain) for domain in ("com.acme", "org.other", "")]
    assert [rules.find(node) is not None for node in nodes] == [True, True, False]


def test_a_rule_that_fails_names_its_plugin(model, acme):
    rules = rules_of(plugin("acme", acme("broken")))
    with pytest.raises(PluginError, match=r'gradient-rule "Halve" of plugin acme .*ZeroDivisionError'):
        build(model, output="y", wrt="x", cotangent=Fed(), rules=rules)


def test_a_rule_that_returns_something_else(model, acme):
    rules = rules_of(plugin("acme", acme("short")))
    with pytest.raises(GradientError, match="the rule of Halve must return a sequence"):
        build(model, output="y", wrt="x", cotangent=Fed(), rules=rules)


def test_sets_of_rules_never_change():
    before = standard_rules()
    more = before.adding("Relu", halve)
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    assert more.find(node) is halve
    assert before.find(node) is not halve
    assert Rules().over(before).find(node) is before.find(node)
    with pytest.raises(TypeError):
        before.table["", "Relu"] = halve


def test_two_rules_for_one_operator_in_modules():
    one, two = types.ModuleType("one"), types.ModuleType("two")
    for module in (one, two):
        function = rule("Halve", domain="com.acme")(lambda context: [None])
        function.__module__ = module.__name__
        module.function = function
    with pytest.raises(ValueError, match="a second rule for 'Halve'"):
        Rules.collect([one, two])
