"""Models whose weights lie beside them."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from harness.onnx.external import external_files, model_sha256


def test_the_hash_of_one_file_is_that_of_its_bytes(make_model, save):
    path = save(make_model())
    assert external_files(path) == []
    assert model_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_outside_count(make_model, tmp_path):
    path, data = tmp_path / "net.onnx", tmp_path / "net.data"
    onnx.save(make_model(), str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    assert external_files(path) == [data]
    first, content = model_sha256(path), data.read_bytes()
    assert first == model_sha256(path)
    data.write_bytes(bytes(len(content)))
    assert model_sha256(path) != first
    data.write_bytes(content)
    assert model_sha256(path) == first
    data.unlink()
    assert model_sha256(path) not in (first, hashlib.sha256(path.read_bytes()).hexdigest())


def test_weights_in_a_branch_are_found(tmp_path):
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="deep.data")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "b", [], [value], [weight])
    node = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
                              [helper.make_tensor_value_info("z", TensorProto.FLOAT, [3])])
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert external_files(path) == [tmp_path / "deep.data"]


def test_what_is_no_model_is_its_bytes(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    assert model_sha256(tmp_path / "text.onnx") == hashlib.sha256(b"no model").hexdigest()
