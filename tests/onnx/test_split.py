"""The part of a graph behind a tensor."""

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from harness.api import ModelCard, graph_tail, open_session
from harness.handle import open_handle


def test_the_tail_completes_what_the_layer_started(make_model):
    model = make_model()
    before = model.SerializeToString()
    behind = graph_tail(model, "r", "logits", "source")
    onnx.checker.check_model(behind)
    assert [each.name for each in behind.graph.input] == ["source"]
    assert model.SerializeToString() == before
    layer = np.random.default_rng(0).random((2, 4, 8, 6), np.float32)
    (found,) = ReferenceEvaluator(behind).run(None, {"source": layer})
    np.testing.assert_allclose(found, layer.mean((2, 3)), rtol=1e-6)


def test_a_tensor_that_is_bypassed_has_no_tail(make_model):
    model = make_model()
    model.graph.node.append(helper.make_node("ReduceMean", ["c", "axes"], ["other"], keepdims=0))
    model.graph.node.append(helper.make_node("Add", ["logits", "other"], ["sum"]))
    model.graph.output[0].name = "sum"
    assert graph_tail(model, "r", "sum", "source") is None
    assert graph_tail(model, "c", "sum", "source") is not None
    assert graph_tail(model, "nothing", "sum", "source") is None


def test_runs_of_a_tail_are_no_forward_passes(make_model, save):
    path = save(make_model(batch=2))
    card = ModelCard.model_validate({"task": "classification", "input": {"size": [8, 6]}})
    passes = []
    handle, _ = open_handle(card, path, open_session, passes.append)
    images = np.random.default_rng(0).random((5, 3, 8, 6), np.float32)
    layer = handle.activations(images, "r")
    behind = graph_tail(handle.graph, "r", "scores", "source")
    found = handle.run(behind, {"source": layer})["scores"]
    np.testing.assert_allclose(found, handle.predict(images), rtol=1e-6)
    assert passes == [5, 5]
    handle.close()
