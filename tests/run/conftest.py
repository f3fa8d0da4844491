"""A bench for whole runs: tiny ONNX networks, colored squares, suites as text."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.host import Host
from harness.reading import read_suite
from harness.results import CellResult, Results
from harness.run import Outcome, RunOptions, run_suite

CARD = """
task = "classification"
input = { size = [8, 8], range = [0.0, 1.0] }
labels = ["red", "green", "blue"]
"""

SUITE = f"""
[suite]
name = "lab"
[datasets.colors]
use = "lab-colors"
[models.mean]
use = "onnx"
path = "mean.onnx"
{CARD}
[metrics.top]
use = "top-k"
k = [1, 2]
[backends.logged]
use = "lab-logged"
log = "$LOG"
"""

BENCH = """
[[bench]]
models = ["mean"]
datasets = ["colors"]
metrics = ["top"]
backends = ["logged"]
"""

OTHER = f"""
[models.other]
use = "onnx"
path = "mean.onnx"
{CARD}
"""


def classifier(path: Path, *, bias: float = 0.0, batch: int | str = "batch", output: str = "logits") -> Path:
    """image (N,3,8,8) -> logits (N,3): the mean of each channel, plus a bias on the first class."""
    values = np.array([bias, 0, 0], np.float32)
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["means"], keepdims=0),
             helper.make_node("Add", ["means", "bias"], [output])]
    graph = helper.make_graph(
        nodes, "mean", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.array([2, 3]), "axes"), numpy_helper.from_array(values, "bias")])
    return save(graph, path)


def save(graph: onnx.GraphProto, path: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


@dataclass
class Watcher:
    """An observer that remembers."""

    resumed: int = 0
    results: list[CellResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def started(self, plan: Any, directory: Path, resumed: int) -> None:
        self.resumed = resumed

    def progress(self, key: str, done: int, total: int) -> None:
        pass

    def finished(self, result: CellResult) -> None:
        self.results.append(result)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def tell(self, message: str) -> None:
        """Nothing to remember."""


class Lab:
    """Suites over colored squares in a folder of their own, with mean.onnx."""

    suite = SUITE
    bench = BENCH
    other = OTHER

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.log = folder / "runs.log"
        self.watcher = Watcher()
        self.classifier("mean")

    def classifier(self, name: str, **options: Any) -> Path:
        return classifier(self.folder / f"{name}.onnx", **options)

    def save(self, graph: onnx.GraphProto, name: str) -> Path:
        return save(graph, self.folder / name)

    def write(self, text: str) -> Path:
        path = self.folder / "suite.toml"
        path.write_text(text.replace("$LOG", str(self.log)))
        return path

    def run(self, text: str = SUITE + BENCH, output: str = "run", executor: str = "inline", *, cache: str = "cache",
            **options: Any) -> Outcome:
        """In this process; every call starts a count of forward passes."""
        return self._run(text, RunOptions(output=self.folder / output, executor=executor, cache=self.folder / cache,
                                          **options))

    def run_in(self, root: Path, **options: Any) -> Path:
        """The folder below `root` that a run chose by itself."""
        settings = RunOptions(root=root, executor="inline", cache=self.folder / "cache", **options)
        return self._run(self.suite + self.bench, settings).directory

    def _run(self, text: str, settings: RunOptions) -> Outcome:
        self.log.unlink(missing_ok=True)
        self.watcher = Watcher()
        host = Host.discover()
        return run_suite(read_suite(self.write(text), host), host, settings, self.watcher)

    def call(self, text: str = SUITE + BENCH, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """`harness run` in its own process."""
        return subprocess.run(self.command(text, *arguments), check=False, capture_output=True, text=True,
                              env=self.environment, cwd=self.folder, timeout=60)

    def command(self, text: str, *arguments: str | Path) -> list[str]:
        call = [sys.executable, "-m", "harness", "run", self.write(text), "--output", self.folder / "run", *arguments]
        return [str(part) for part in call]

    @property
    def forward_passes(self) -> int:
        return sum(map(int, self.log.read_text().split())) if self.log.exists() else 0

    def results(self, output: str = "run") -> Results:
        return Results.model_validate(json.loads((self.folder / output / "results.json").read_text()))

    def lines(self, output: str = "run") -> list[str]:
        return (self.folder / output / "cells.jsonl").read_text().splitlines()

    @staticmethod
    def numbers(results: Results) -> dict[str, Any]:
        """By key, everything that must not change between equal runs."""
        return {cell.key: (cell.id, cell.status, cell.metrics, cell.curves, cell.reason, cell.error)
                for cell in results.cells}


@pytest.fixture
def lab(tmp_path: Path, tmp_plugin: Any, monkeypatch: pytest.MonkeyPatch) -> Lab:
    installed = tmp_plugin((Path(__file__).parent / "lab_plugin.py").read_text(), name="lab")
    monkeypatch.delenv("LAB_HOOKS_RAISE", raising=False)
    folder = tmp_path / "lab"
    folder.mkdir()
    return Lab(folder, {**installed.environment, "NO_COLOR": "1", "LAB_EXPENDABLE": "1",
                        "HARNESS_CACHE_DIR": str(tmp_path / "cache")})
