"""A suite that is small and quick: one keypoints model on a few stick figures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = """
[suite]
name = "small"
[datasets.figures]
use = "stick-figures"
count = 6
[models.center]
use = "onnx"
path = '{path}'
task = "keypoints"
input = {{ size = [64, 64], color = "GRAY", range = [0.0, 1.0] }}
[[bench]]
models = ["center"]
datasets = ["figures"]
metrics = ["pck"]
"""

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def five_centers(tmp_path: Path) -> Path:
    """image (N,1,64,64) -> keypoints (N,5,2): the center of the image five times."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    center = np.full((1, 5, 2), 31.5, np.float32)
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["gray"], keepdims=0),  # (N, 1)
             helper.make_node("Mul", ["gray", "nothing"], ["zero"]),
             helper.make_node("Unsqueeze", ["zero", "last"], ["zeros"]),  # (N, 1, 1)
             helper.make_node("Add", ["zeros", "center"], ["keypoints"])]
    graph = helper.make_graph(
        nodes, "center", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 64, 64])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 5, 2])],
        [numpy_helper.from_array(center, "center"), numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
         numpy_helper.from_array(np.array([2, 3]), "axes"), numpy_helper.from_array(np.array([2]), "last")])
    path = tmp_path / "center.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def suite(tmp_path: Path, five_centers: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SUITE.format(path=five_centers))
    return path


@pytest.fixture
def harness(tmp_path: Path) -> Call:
    """harness("run", suite): in a process of its own, with streams that are no terminals."""
    def call(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "harness", *map(str, arguments)]
        own = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=120,
                              env={**own, **environment})

    return call
