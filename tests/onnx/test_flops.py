"""Operations of graphs whose count is known."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from harness.card import InputSpec, ModelCard
from harness.onnx.flops import gflop

CARD = ModelCard(task="classification", input=InputSpec(size=(8, 10), range=(0, 1)), input_name="image")


def write(path, nodes, weights, out=("batch", None)):
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(out))], arrays)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def floats(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(("attributes", "weight", "expected"), [
    ({"pads": [1, 1, 1, 1]}, (6, 3, 3, 3), 8 * 10 * 6 * 3 * 9),
    ({"strides": [2, 2], "pads": [1, 1, 1, 1]}, (6, 3, 3, 3), 4 * 5 * 6 * 3 * 9),
    ({"group": 3}, (6, 1, 1, 1), 8 * 10 * 6 * 1),
    ({"dilations": [2, 2]}, (4, 3, 3, 3), 4 * 6 * 4 * 3 * 9)])
def test_convolutions(tmp_path, attributes, weight, expected):
    nodes = [helper.make_node("Conv", ["image", "w"], ["logits"], **attributes)]
    path = write(tmp_path / "m.onnx", nodes, {"w": floats(*weight)}, ("batch", "c", "h", "w"))
    assert gflop(path, CARD) == pytest.approx(2 * expected / 1e9, abs=1e-6)


def test_transposed_convolution(tmp_path):
    nodes = [helper.make_node("ConvTranspose", ["image", "w"], ["logits"], strides=[2, 2])]
    path = write(tmp_path / "m.onnx", nodes, {"w": floats(3, 50, 2, 2)}, ("batch", "c", "h", "w"))
    assert gflop(path, CARD) == pytest.approx(2 * 8 * 10 * 3 * 50 * 4 / 1e9, abs=1e-6)


def test_matrix_products(tmp_path):
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("Gemm", ["flat", "a", "b"], ["hidden"]),
             helper.make_node("MatMul", ["hidden", "c"], ["logits"])]
    path = write(tmp_path / "m.onnx", nodes, {"a": floats(240, 700), "b": floats(700), "c": floats(700, 900)})
    assert gflop(path, CARD) == pytest.approx(2 * (240 * 700 + 700 * 900) / 1e9, abs=1e-6)


def test_a_shape_that_depends_on_the_data_is_not_guessed(tmp_path):
    nodes = [helper.make_node("NonZero", ["image"], ["where"]),
             helper.make_node("Cast", ["where"], ["logits"], to=TensorProto.FLOAT),
             helper.make_node("MatMul", ["logits", "logits"], ["other"])]
    assert gflop(write(tmp_path / "m.onnx", nodes, {}), CARD) is None
    assert gflop(tmp_path / "none.onnx", CARD) is None


def test_the_shipped_exports():
    from harness.contracts import ModelFile
    from harness.onnx.models import load_card

    for path in sorted((Path(__file__).parents[2] / "exports").glob("*/model.fp32.onnx")):
        found = gflop(path, load_card(ModelFile(path)))
        assert found is not None, path
        assert 0.001 < found < 5, path
