"""Graphs without their weights, and with them again."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.onnx.weightless import weightless, with_weights


def model_of(*, as_inputs=False):
    weights = [numpy_helper.from_array(np.ones((40, 40), np.float32), "large"),
               numpy_helper.from_array(np.array([1]), "axes")]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 40])]
    if as_inputs:
        inputs.append(helper.make_tensor_value_info("large", TensorProto.FLOAT, [40, 40]))
    nodes = [helper.make_node("MatMul", ["image", "large"], ["product"]),
             helper.make_node("ReduceSum", ["product", "axes"], ["scores"])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1])]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, weights), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    model.metadata_props.add(key="harness", value="{}")
    return model


@pytest.mark.parametrize("as_inputs", [False, True])
def test_large_weights_are_inputs_and_come_back(as_inputs):
    model = model_of(as_inputs=as_inputs)
    before = model.SerializeToString()
    light = weightless(model)
    assert [value.name for value in light.graph.input] == ["image", "large"]
    assert [tensor.name for tensor in light.graph.initializer] == ["axes"]
    assert light.ByteSize() < 1000
    onnx.checker.check_model(light, full_check=True)
    again = with_weights(light, model)
    assert model.SerializeToString() == before
    assert {tensor.name: tensor for tensor in again.graph.initializer} == {
        tensor.name: tensor for tensor in model.graph.initializer}
    assert list(again.graph.input) == list(model.graph.input)
    assert again.metadata_props == model.metadata_props
