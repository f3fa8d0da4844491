"""OpenVINO against onnxruntime on the shipped exports, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("openvino")

from harness.errors import CellError, ModelFileError
from harness.onnx.session import open_session
from harness_openvino.backend import OpenVinoBackend
from harness_openvino.params import OpenVinoParams

EXPORTS = Path(__file__).parents[2] / "exports"


def opened(name, **params):
    return OpenVinoBackend(OpenVinoParams(**params)).open(EXPORTS / name / "model.fp32.onnx", threads=1)


def golden(name):
    from harness.table import Table

    return Table.load(EXPORTS / name / "golden.npz").dense("input.image")


@pytest.mark.parametrize("name", ["heatmapnet", "regressionnet", "cam-cnn", "unet-cells", "multiscale-detector"])
def test_float32_equals_onnxruntime(name):
    image = golden(name)
    ours, theirs = open_session(EXPORTS / name / "model.fp32.onnx"), opened(name)
    feeds = {ours.inputs[0].name: image}
    expected, found = ours.run(feeds), theirs.run(feeds)
    assert list(found) == list(expected)
    for key, values in expected.items():
        assert found[key].shape == values.shape, key
        np.testing.assert_allclose(found[key], values, atol=2e-4, err_msg=key)
    theirs.close()


def test_float32_is_pinned_and_bf16_is_asked_for():
    assert set(opened("heatmapnet").executed()) == {"float32"}
    image = golden("heatmapnet")
    exact = opened("heatmapnet").run({"image": image})["heatmaps"]
    found = opened("heatmapnet", precision_hint="bf16")
    difference = np.abs(found.run({"image": image})["heatmaps"] - exact).max()
    if "bfloat16" in found.executed():  # else this CPU has no such instructions
        assert 1e-4 < difference < 0.2
    else:
        assert difference < 1e-4


@pytest.mark.parametrize("static", [True, False])
def test_a_bound_call_gives_what_a_run_gives(static):
    session, image = opened("cam-cnn", static_shapes=static), golden("cam-cnn")[:1]
    query = session.bind({"image": image})
    query()
    found, expected = (each.run({"image": image})["logits"] for each in (session, opened("cam-cnn")))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    query()
    session.close()


def test_a_shape_that_can_not_be_compiled(tmp_path):
    """Nothing is wrong with the free file; of this length its two parts do not fit each other."""
    constant = numpy_helper.from_array(np.zeros((3, 2), np.float32), "constant")
    graph = helper.make_graph([helper.make_node("Add", ["x", "constant"], ["out"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], [constant])
    path = tmp_path / "fixed.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    session = OpenVinoBackend(OpenVinoParams()).open(path, threads=1)
    session.bind({"x": np.zeros((3, 2), np.float32)})()
    with pytest.raises(CellError, match=r"fixed\.onnx: OpenVINO failed while running it"):
        session.bind({"x": np.zeros((4, 2), np.float32)})
    session.close()


def test_feeds_that_do_not_fit():
    session = opened("cam-cnn")
    with pytest.raises(ModelFileError, match="no input named 'imag'; did you mean \"image\""):
        session.run({"imag": golden("cam-cnn")})
    with pytest.raises(ModelFileError, match="takes float32, got float64"):
        session.bind({"image": golden("cam-cnn").astype(np.float64)})


def test_files_that_can_not_be_used(tmp_path):
    backend = OpenVinoBackend(OpenVinoParams())
    with pytest.raises(ModelFileError, match="no such model file"):
        backend.open(tmp_path / "absent.onnx", threads=1)
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelFileError, match=r"text\.onnx: OpenVINO can not use it"):
        backend.open(tmp_path / "text.onnx", threads=1)
