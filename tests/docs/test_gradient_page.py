"""The examples of the page about gradients run, in order, and its plugin's rule is right."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from onnx import parser
from reference_ops import run_float32

from harness.api import GradientRuleSpec
from harness.gradient_rules import gradient_rules
from harness.host import Host
from harness.onnx.gradient import Fed, UnsupportedOp, build
from harness.testing.conformance import check_spec

PAGE = Path(__file__).parents[2] / "docs" / "gradient.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
MODEL = """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
    g (float[2, 3] x) => (float[2, 3] y) { y = com.microsoft.QuickGelu<alpha = 1.5>(x) }"""


def test_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    for code in EXAMPLES:
        if "hookimpl" not in code:
            exec(compile(code, PAGE.name, "exec"), scope)
    assert (tmp_path / "hires-cam.onnx").exists()
    assert '"modified": {"Relu": 1}' in scope["guided"].metadata_props[-1].value


@pytest.fixture
def acme(monkeypatch):
    module = types.ModuleType("acme_quick_gelu")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (code,) = (code for code in EXAMPLES if "hookimpl" in code)
    exec(compile(code, PAGE.name, "exec"), vars(module))
    return module


def test_the_plugin(acme):
    (spec,) = acme.harness_gradient_rules()
    check_spec(spec)
    model = parser.parse_model(MODEL)
    with pytest.raises(UnsupportedOp, match="QuickGelu"):
        build(model, output="y", wrt="x", cotangent=Fed())
    rules = gradient_rules(Host.of(acme).specs(GradientRuleSpec))
    graph = build(model, output="y", wrt="x", cotangent=Fed(), rules=rules)
    x, cotangent = np.random.default_rng(0).normal(size=(2, 2, 3))
    y, gradient = run_float32(graph, {"x": x, "cotangent": cotangent}, ["y", "x.gradient"])
    gate = 1 / (1 + np.exp(-1.5 * x))
    np.testing.assert_allclose(y, x * gate, rtol=1e-5)
    np.testing.assert_allclose(gradient, cotangent * gate * (1 + 1.5 * x * (1 - gate)), rtol=1e-5)
