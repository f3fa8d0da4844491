"""Graphs that point into the file they were made from compute the same, and are small."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.errors import ModelFileError
from harness.onnx.gradient import build
from harness.onnx.session import open_session
from harness.onnx.sharing import save_sharing

IMAGE = np.random.default_rng(0).normal(size=(2, 3, 8, 6)).astype(np.float32)


@pytest.fixture
def network(tmp_path):
    """A file with weights of 16 KB, some of them in the typed field that old exporters use."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(24, 3, 7, 7)).astype(np.float32)
    typed = helper.make_tensor("head", TensorProto.FLOAT, (24, 20), rng.normal(size=480).astype(np.float32))
    nodes = [helper.make_node("Conv", ["image", "weights"], ["c"], pads=[3] * 4),
             helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("ReduceMean", ["r", "axes"], ["mean"], keepdims=0),
             helper.make_node("MatMul", ["mean", "head"], ["logits"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 20])],
        [numpy_helper.from_array(weights, "weights"), typed, numpy_helper.from_array(np.array([2, 3]), "axes")])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def explain(path):
    session = open_session(path)
    return session.run({"image": IMAGE, "class": np.array([3, 7])})["image.gradient"]


def test_the_same_results_from_a_small_file(network, tmp_path):
    graph = build(onnx.load(network), output="logits", wrt="image")
    own, shared = tmp_path / "own.onnx", tmp_path / "shared.onnx"
    onnx.save(graph, str(own))
    before = graph.SerializeToString(deterministic=True)
    names = save_sharing(graph, shared, network)
    assert set(names) == {"weights", "head"}
    assert graph.SerializeToString(deterministic=True) == before
    assert own.stat().st_size - shared.stat().st_size > 14_000
    np.testing.assert_array_equal(explain(shared), explain(own))
    assert np.abs(explain(shared)).max() > 0


def test_the_base_may_lie_below(network, tmp_path):
    graph = build(onnx.load(network), output="logits", wrt="image")
    below = tmp_path / "weights" / "base.onnx"
    below.parent.mkdir()
    below.write_bytes(network.read_bytes())
    save_sharing(graph, tmp_path / "shared.onnx", below)
    assert np.isfinite(explain(tmp_path / "shared.onnx")).all()


def test_weights_that_differ_are_kept(network, tmp_path):
    graph = build(onnx.load(network), output="logits", wrt="image")
    tensor = next(each for each in graph.graph.initializer if each.name == "weights")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, "weights"))
    assert "weights" not in save_sharing(graph, tmp_path / "shared.onnx", network)


@pytest.mark.parametrize(("path", "base", "message"), [
    ("model.onnx", "model.onnx", "overwrites"), ("sub/shared.onnx", "model.onnx", "in the folder of the graph"),
    ("shared.onnx", "missing.onnx", "no such model file")])
def test_refused(network, tmp_path, path, base, message):
    with pytest.raises(ModelFileError, match=message):
        save_sharing(onnx.load(network), tmp_path / path, tmp_path / base)
