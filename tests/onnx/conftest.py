"""Small ONNX networks, made from nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

MakeModel = Callable[..., onnx.ModelProto]


@pytest.fixture
def make_model() -> MakeModel:
    """make_model(batch="batch", layout="NCHW", output="logits") -> 3x3 convolution, ReLU, mean, 4 classes."""

    def build(batch: int | str | None = "batch", layout: str = "NCHW", output: str = "logits",
              dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
        kind = helper.tensor_dtype_to_np_dtype(dtype)
        weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(kind)
        shape = [batch, 3, 8, 6] if layout == "NCHW" else [batch, 8, 6, 3]
        nodes = [helper.make_node("Conv", ["x", "weights"], ["c"], pads=[1, 1, 1, 1]),
                 helper.make_node("Relu", ["c"], ["r"]),
                 helper.make_node("ReduceMean", ["r", "axes"], [output], keepdims=0)]
        first = helper.make_node("Identity", ["image"], ["x"])
        if layout == "NHWC":
            first = helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2])
        graph = helper.make_graph(
            [first, *nodes], "tiny", [helper.make_tensor_value_info("image", dtype, shape)],
            [helper.make_tensor_value_info(output, dtype, [batch, 4])],
            [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([2, 3]), "axes")])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    return build


@pytest.fixture
def save(tmp_path: Path) -> Callable[[onnx.ModelProto], Path]:
    """Write a model to a temporary file and return its path."""

    def write(model: onnx.ModelProto, name: str = "tiny.onnx") -> Path:
        path = tmp_path / name
        onnx.save(model, str(path))
        return path

    return write
