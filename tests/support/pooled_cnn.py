"""A small classifier with global average pooling, as ONNX nodes."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = (13, 10)
CLASSES = 4
LAYERS = ("one", "two")
"""Activations: 8 channels of 7 x 5 pixels, 6 channels of 4 x 3."""
HEADS = {
    "Gemm": [("GlobalAveragePool", ["two"], "p", {}), ("Flatten", ["p"], "f", {}),
             ("Gemm", ["f", "m", "b"], "logits", {"transB": 1})],
    "plain Gemm": [("ReduceMean", ["two", "space"], "f", {"keepdims": 0}),
                   ("Gemm", ["f", "mT", "b"], "logits", {"alpha": 2.0})],
    "MatMul": [("ReduceMean", ["two", "behind"], "p", {}), ("Squeeze", ["p", "space"], "f", {}),
               ("MatMul", ["f", "mT"], "g", {}), ("Add", ["g", "b"], "logits", {})],
    "Conv": [("GlobalAveragePool", ["two"], "p", {}), ("Conv", ["p", "m4", "b"], "g", {}),
             ("Reshape", ["g", "rows"], "logits", {})],
    "Conv before": [("Conv", ["two", "m4"], "g", {}), ("GlobalAveragePool", ["g"], "p", {}),
                    ("Flatten", ["p"], "logits", {})],
    "two layers": [("GlobalAveragePool", ["two"], "p", {}), ("Flatten", ["p"], "f", {}),
                   ("Gemm", ["f", "square"], "h", {}), ("Relu", ["h"], "r", {}),
                   ("Gemm", ["r", "mT", "b"], "logits", {})],
}


def pooled_cnn(head: str = "Gemm", bias: float = 1.0, seed: int = 0) -> onnx.ModelProto:
    """image (N, 3, 13, 10) -> logits (N, 4): convolutions of stride 2 with ReLU, pooling, one of HEADS.

    bias: scale of the convolutions' biases.
    """
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(CLASSES, 6))
    floats = {"w1": random.normal(size=(8, 3, 3, 3)), "w2": random.normal(size=(6, 8, 3, 3)),
              "a1": bias * random.normal(size=8), "a2": bias * random.normal(size=6), "m": matrix, "mT": matrix.T,
              "m4": matrix[..., None, None], "b": random.normal(size=CLASSES), "square": random.normal(size=(6, 6))}
    whole = {"space": [2, 3], "behind": [-2, -1], "rows": [-1, CLASSES]}
    same = {"pads": [1] * 4, "strides": [2, 2]}
    nodes = [helper.make_node(op, inputs, [output], **attributes) for op, inputs, output, attributes in [
        ("Conv", ["image", "w1", "a1"], "c1", same), ("Relu", ["c1"], "one", {}),
        ("Conv", ["one", "w2", "a2"], "c2", same), ("Relu", ["c2"], "two", {}), *HEADS[head]]]
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in floats.items()]
    tensors += [numpy_helper.from_array(np.array(value), name) for name, value in whole.items()]
    graph = helper.make_graph(
        nodes, "pooled", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [each for each in tensors if each.name in used])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(each) for each in model.graph.initializer if each.name == name)


def value_of(model: onnx.ModelProto, name: str, image: np.ndarray) -> np.ndarray:
    """A tensor by onnx's own evaluator."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    inner.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return onnx.reference.ReferenceEvaluator(inner).run([name], {"image": image})[0]
