"""Declaring is cheap: what the first commands import, and that exports run where torch is not installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIGHT = [("--help",), ("--version",), ("plugins", "list"), ("plugins", "list", "--format", "json"), ("run", "--help")]
HEAVY = ("torch", "onnxruntime", "onnx", "scipy", "PIL", "safetensors", "numba", "cv2")

PROBE = """
import sys
from harness.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""

BLOCKER = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("torch is blocked", name="torch")

sys.meta_path.insert(0, NoTorch())
"""

SUITE = """
[suite]
name = "shipped"
[datasets.figures]
use = "stick-figures"
count = 24
[models.heatmap]
use = "heatmapnet"
[models.regression]
use = "regressionnet"
[[bench]]
models = ["heatmap", "regression"]
datasets = ["figures"]
metrics = ["pck"]
latency = [{ min_queries = 20, min_duration_s = 0.0 }]
"""


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_nothing_heavy(arguments):
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], check=True, capture_output=True, text=True)
    loaded = set(done.stderr.rpartition("loaded:")[2].split())
    assert "click" in loaded
    assert not loaded & set(HEAVY)


def run_shipped(folder: Path, environment: dict[str, str]) -> list[dict]:
    folder.mkdir()
    (folder / "suite.toml").write_text(SUITE)
    call = [sys.executable, "-m", "harness", "run", "suite.toml", "--output", "out"]
    variables = {**os.environ, "HARNESS_CACHE_DIR": str(folder / "cache"), **environment}
    done = subprocess.run(call, check=False, cwd=folder, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "out" / "results.json").read_text())["cells"]


def test_exports_run_without_torch_and_give_the_same_numbers(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    blocked = {"PYTHONPATH": str(tmp_path)}
    refused = subprocess.run([sys.executable, "-c", "import torch"], check=False, capture_output=True, text=True,
                             env={**os.environ, **blocked})
    assert "torch is blocked" in refused.stderr
    without = run_shipped(tmp_path / "without", blocked)
    usual = run_shipped(tmp_path / "usual", {})
    assert [cell["key"] for cell in without] == [cell["key"] for cell in usual]
    for one, other in zip(without, usual, strict=True):
        assert (one["status"], one["id"], one["metrics"]) == (other["status"], other["id"], other["metrics"])
