"""`harness train` and `harness export` on the command line."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from harness.cli.progress import EpochLines
from harness.evaluate import run_batches
from harness.table import Table
from harness.train import Trainer

SUITE = """
[suite]
name = "small"
[models.coordinates]
use = "regressionnet"
train = { epochs = 2, train_count = 16, val_count = 4, test_count = 5 }
[models.other]
use = "heatmapnet"
[datasets.figures]
use = "stick-figures"
count = 5
[[bench]]
models = ["coordinates"]
datasets = ["figures"]
metrics = ["pck"]
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def test_train_exports_beside_the_suite_and_resumes(cli, suite):
    outcome = cli("train", suite, "--only", "coord*", "--epochs", "1")
    assert outcome.code == 0, outcome.text
    folder = suite.parent / "exports" / "coordinates"
    assert json.loads((folder / "export.json").read_text())["recipe"]["epochs"] == 1
    assert str(folder) in outcome.out
    assert "pck@0.05" in outcome.out
    assert "coordinates: epoch 1/1" in outcome.err
    assert not (suite.parent / "exports" / "other").exists()
    assert cli("run", suite, "--only", "accuracy/*", "--output", suite.parent / "run").code == 3  # one epoch, not two
    outcome = cli("train", suite, "--only", "coordinates", "--resume")
    assert "epoch 1/2" not in outcome.err
    assert "epoch 2/2" in outcome.err
    assert (suite.parent / "checkpoints" / "coordinates" / "last.safetensors").is_file()


def test_export_with_another_param(cli, suite, trained):
    outcome = cli("export", trained, "--output", suite.parent, "--id", "plain", "--set", "decoder=argmax")
    assert outcome.code == 0, outcome.text
    assert json.loads((suite.parent / "plain" / "export.json").read_text())["params"]["decoder"] == "argmax"
    inputs = Table.load(suite.parent / "plain" / "golden.npz").dense("input.image")
    positions = run_batches(suite.parent / "plain" / "model.fp32.onnx", inputs, 4)["keypoints"]
    steps = (positions - 0.5) / 2
    np.testing.assert_array_equal(steps, np.round(steps))
    outcome = cli("export", trained, "--output", suite.parent, "--set", "decoder")
    assert outcome.code == 2
    assert "must be KEY=VALUE" in outcome.err


def test_a_model_that_is_not_there_is_named(cli, suite):
    outcome = cli("train", suite, "--only", "coordinate")
    assert outcome.code == 2
    assert 'did you mean "coordinates"?' in outcome.err


def test_a_suite_without_a_trainable_model(cli, tmp_path, centroid_model):
    path = tmp_path / "suite.toml"
    path.write_text(f'[suite]\nname = "none"\n[models.m]\nuse = "onnx"\npath = "{centroid_model}"\ntask = "keypoints"\n'
                    'input = { size = [64, 64], color = "GRAY" }\n[[bench]]\nmodels = ["m"]\n'
                    'latency = [{ scenario = "single-stream" }]\n')
    outcome = cli("train", path)
    assert outcome.code == 2
    assert "declares no model that can be trained" in outcome.err


def test_an_interrupted_training_says_how_to_go_on(cli, suite, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_train_epoch", interrupt)
    outcome = cli("train", suite, "--only", "coordinates")
    assert outcome.code == 130
    assert "--resume goes on from there" in outcome.err
    assert (suite.parent / "checkpoints" / "coordinates" / "last.safetensors").is_file()
    assert not (suite.parent / "exports").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_only_on_a_terminal(capsys, monkeypatch, terminal):
    import sys

    job = SimpleNamespace(id="m", recipe=SimpleNamespace(epochs=2))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with EpochLines(job) as lines:
        for done in range(1, 4):
            lines.batch(1, done, 3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("m epoch 1" in captured.err) == terminal
