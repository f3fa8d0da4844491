"""Generators on the host in a suite, from the plan to the pictures."""

import json

import numpy as np
import pytest

SUITE = """
[suite]
name = "maps"
[datasets.scenes]
use = "foreground"
count = 6
[models.classifier]
use = "cam-cnn"
[saliency.rise]
use = "rise"
masks = 20
[saliency.shap]
use = "kernel-shap"
grid = [2, 3]
samples = 30
[saliency.theirs]
use = "precomputed"
path = "maps/{id}.npy"
[[explain]]
models = ["classifier"]
datasets = ["scenes"]
saliency = ["rise", "shap", "ablation-cam", "random", "theirs"]
metrics = ["top-k"]
"""


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "maps").mkdir()
    for number in range(6):
        np.save(tmp_path / "maps" / f"test-{number:05d}.npy", np.eye(12, dtype=np.float32))
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def test_a_plan_knows_what_maps_cost_where_parameters_say_it(cli, suite):
    cells = json.loads(cli("list", suite, "--format", "json").out)
    assert {cell["key"].rpartition("/")[2]: cell["forward_passes"] for cell in cells} == {
        "rise": 6 * 21, "shap": 6 * 33, "ablation-cam": None, "random": 6, "theirs": 6}


def test_a_run_counts_passes_and_keeps_pictures(cli, suite, tmp_path):
    done = cli("run", suite, "--output", tmp_path / "out")
    assert done.code == 0, done.text
    cells = {cell["saliency"]: cell for cell in json.loads((tmp_path / "out" / "results.json").read_text())["cells"]}
    # Of ablation-cam only the activations are a forward pass.
    assert {name: cell["cost"]["forward_passes"] for name, cell in cells.items()} == {
        "rise": 6 * 21, "shap": 6 * 33, "ablation-cam": 6 * 2, "random": 6, "theirs": 6}
    for cell in cells.values():
        folder = tmp_path / "out" / cell["files"]["thumbnails"]
        entries = json.loads((folder / "index.json").read_text())
        assert len(entries) == 6
        assert all((folder / entry["overlay"]).is_file() for entry in entries)
        assert entries[0]["saliency"]["label"] == entries[0]["target"]["label"]
