"""Fixtures for all tests; those for plugin authors are among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest_plugins = ["harness.testing.fixtures", "pytester"]


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one, or the user, has measured."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(caches / str(hash(request.node.nodeid))))


@pytest.fixture(scope="session")
def zoo(request: pytest.FixtureRequest) -> Any:
    """Small networks with random weights and their ONNX exports, see support/zoo.py."""
    pytest.importorskip("torch")
    from zoo import Zoo

    cache = getattr(request.config, "cache", None)
    return Zoo(cache.mkdir("zoo") if cache else None)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams with all white space collapsed: tables may break lines."""
        return " ".join((self.out + " " + self.err).split())


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """cli("plugins", "list"): run a command in this process."""

    def call(*arguments: str | Path) -> Outcome:
        from harness.cli import main

        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return Outcome(int(code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def centroid_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file that answers the center of brightness: image (N,1,64,64) in [0,1] -> keypoints (N,1,2) in pixels."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    grid = np.stack(np.meshgrid(np.arange(64), np.arange(64))).astype(np.float32)  # x, then y
    nodes = [
        helper.make_node("Mul", ["image", "grid"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axes"], ["moments"], keepdims=0),
        helper.make_node("ReduceSum", ["image", "axes"], ["mass"], keepdims=0),
        helper.make_node("Div", ["moments", "mass"], ["center"]),
        helper.make_node("Unsqueeze", ["center", "one"], ["keypoints"]),
    ]
    graph = helper.make_graph(
        nodes, "centroid",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 64, 64])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 1, 2])],
        [numpy_helper.from_array(grid[None], "grid"), numpy_helper.from_array(np.array([2, 3]), "axes"),
         numpy_helper.from_array(np.array([1]), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path = tmp_path_factory.mktemp("models") / "centroid.onnx"
    path.write_bytes(model.SerializeToString())
    return path
