"""Graphs brought to newer operators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from harness.onnx.opsets import at_least, opset_of


@pytest.mark.parametrize(("version", "ir"), [(13, 7), (17, 7), (18, 8), (21, 10)])
def test_to_any_version(version, ir):
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Flatten", ["a"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 12])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    found = at_least(model, version)
    assert (opset_of(found), found.ir_version, opset_of(model)) == (version, ir, 12)
    onnx.checker.check_model(found, full_check=True)
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(ReferenceEvaluator(found).run(None, {"x": x})[0], np.maximum(x, 0).reshape(2, 12))
