"""Every hook's docstring is a complete plugin: it loads without complaint and keeps its contract."""

import importlib
import inspect
import sys
import textwrap

import numpy as np
import pytest
from onnx import parser

from harness import hookspecs
from harness.card import InputSpec, ModelCard
from harness.contracts import FinishedRun, ModelFile, ModelRequest, RunContext, Samples
from harness.gradient_rules import gradient_rules
from harness.hookcheck import HOOKS, LIFECYCLE_HOOKS, SPEC_HOOKS
from harness.host import Host, call
from harness.onnx.gradient import Fed, build
from harness.results import CellResult, Results
from harness.specs import GradientRuleSpec
from harness.table import Table
from harness.tasks import ClassificationTarget
from harness.testing.conformance import (
    check_backend,
    check_dataset,
    check_metric,
    check_reporter,
    check_saliency,
    check_scenario,
    check_spec,
    create,
)


def example(hook):
    docstring = inspect.getdoc(getattr(hookspecs, hook))
    return textwrap.dedent(docstring.split("Example::", 1)[1])


@pytest.fixture
def plugin(request, monkeypatch, tmp_path):
    """The module that a hook's docstring is the source of."""
    name = f"example_{request.param}"
    (tmp_path / f"{name}.py").write_text(example(request.param))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    del sys.modules[name]


def only_spec(module, hook):
    host = Host.of(module)
    (record,) = host.plugins
    assert record.status == "ok", record.failures
    assert record.warnings == ()
    assert record.hooks == (hook,)
    (spec,) = getattr(module, hook)()
    assert [found.name for found in host.specs(SPEC_HOOKS[hook])] == [spec.name]
    return spec


def test_every_hook_has_an_example():
    declared = {name for name in vars(hookspecs) if name.startswith("harness_")}
    assert declared == set(HOOKS)
    assert all("Example::" in inspect.getdoc(getattr(hookspecs, hook)) for hook in HOOKS)


@pytest.mark.parametrize("plugin", ["harness_datasets"], indirect=True)
def test_dataset_example(plugin):
    spec = only_spec(plugin, "harness_datasets")
    check_spec(spec)
    check_dataset(spec, create(spec))


@pytest.mark.parametrize("plugin", ["harness_models"], indirect=True)
def test_model_example(plugin, tmp_path):
    spec = only_spec(plugin, "harness_models")
    check_spec(spec)
    params = spec.params.model_validate({"folder": "files"}, context={"base": tmp_path})
    found = call(spec, spec.locate, params, ModelRequest("m", "int8", None, ()))
    assert found == ModelFile(tmp_path / "files" / "int8.onnx")


class Handle:
    card = ModelCard(task="classification", input=InputSpec(size=(4, 6)))


@pytest.mark.parametrize("plugin", ["harness_saliency"], indirect=True)
def test_saliency_example(plugin):
    spec = only_spec(plugin, "harness_saliency")
    check_spec(spec)
    check_saliency(spec, create(spec), Handle(), np.zeros((2, 3, 4, 6), np.float32), np.array([0, 1]))


@pytest.mark.parametrize("plugin", ["harness_metrics"], indirect=True)
def test_metric_example(plugin):
    spec = only_spec(plugin, "harness_metrics")
    check_spec(spec)
    logits = np.log(np.array([[1, 1], [3, 1], [1, 4]], np.float32))
    targets = [ClassificationTarget(label="x")] * 3
    samples = Samples(ids=["a", "b", "c"], targets=targets, predictions=Table({"logits": logits}), card=Handle.card)
    metric = create(spec)
    check_metric(spec, metric, samples)
    mean = metric.summarize(metric.measure(samples)).scalars[""].value
    assert mean == pytest.approx((0.5 + 0.75 + 0.8) / 3)


@pytest.mark.parametrize("plugin", ["harness_backends"], indirect=True)
def test_backend_example(plugin, tmp_path):
    spec = only_spec(plugin, "harness_backends")
    check_spec(spec)
    check_backend(spec, create(spec), tmp_path / "any.onnx", {"image": np.zeros((5, 3, 8, 8), np.float32)})


@pytest.mark.parametrize("plugin", ["harness_scenarios"], indirect=True)
def test_scenario_example(plugin):
    spec = only_spec(plugin, "harness_scenarios")
    check_spec(spec)
    check_scenario(spec, create(spec))


class FakeGroup:
    exclusive = False

    def __init__(self, name):
        self.keys = (name,)

    def execute(self, progress):
        return [self.keys[0]]


@pytest.mark.parametrize("plugin", ["harness_executors"], indirect=True)
def test_executor_example(plugin):
    spec = only_spec(plugin, "harness_executors")
    check_spec(spec)
    groups = [FakeGroup("one"), FakeGroup("two")]
    assert list(create(spec).run(groups, lambda *_: None)) == [["two"], ["one"]]


def results():
    cell = CellResult(key="accuracy/d/m/fp32/b", id="0", kind="accuracy", status="ok", model="m", precision="fp32",
                      backend="b")
    return Results(suite={}, environment={}, plugins=[], cells=[cell])


@pytest.mark.parametrize("plugin", ["harness_reporters"], indirect=True)
def test_reporter_example(plugin):
    spec = only_spec(plugin, "harness_reporters")
    check_spec(spec)
    run = FinishedRun(results())
    check_reporter(spec, create(spec), run)
    assert create(spec).render(run) == {"keys.txt": "accuracy/d/m/fp32/b\n"}


@pytest.mark.parametrize("plugin", ["harness_gradient_rules"], indirect=True)
def test_gradient_rule_example(plugin):
    spec = only_spec(plugin, "harness_gradient_rules")
    check_spec(spec)
    model = parser.parse_model('''<ir_version: 10, opset_import: ["" : 20, "com.acme" : 1]>
        g (float[2] x) => (float[2] y) { y = com.acme.Halve(x) }''')
    rules = gradient_rules(Host.of(plugin).specs(GradientRuleSpec))
    graph = build(model, output="y", wrt="x", cotangent=Fed("dy"), rules=rules)
    assert [node.op_type for node in graph.graph.node] == ["Halve", "Mul", "Identity"]


@pytest.mark.parametrize("plugin", LIFECYCLE_HOOKS, indirect=True)
def test_lifecycle_example(plugin, tmp_path, capsys):
    hook = plugin.__name__.removeprefix("example_")
    host = Host.of(plugin)
    assert [(record.status, record.hooks) for record in host.plugins] == [("ok", (hook,))]
    context = RunContext(tmp_path, {}, keys=("one", "two"), result=results().cells[0], results=results())
    assert host.notify(hook, context) == []
    printed = capsys.readouterr()
    assert printed.out == ""
    expected = {"harness_run_started": "2 cells", "harness_cell_finished": "accuracy/d/m/fp32/b ok",
                "harness_run_finished": f"1 results in {tmp_path}"}
    assert printed.err.strip() == expected[hook]
