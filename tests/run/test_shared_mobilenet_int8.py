"""A real network from elsewhere in int8, calibrated on photographs that its suite names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.host import Host
from harness.identity import locate_model
from harness.onnx.metadata import read_card
from harness.onnx.session import open_session
from harness.reading import read_suite

SHARED = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")
NETWORK, PETS = SHARED / "models/mobilenet_v1_0.75_192.onnx", SHARED / "pets"
pytestmark = pytest.mark.skipif(not (NETWORK.is_file() and PETS.is_dir()),
                                reason=f"no {NETWORK} or {PETS}; set HARNESS_SHARED_DATA")
SUITE = f"""
[suite]
name = "mobilenet"
[datasets.pets]
use = "oxford-pet"
root = '{PETS}'
[models.mobilenet]
use = "onnx"
path = '{NETWORK}'
task = "classification"
input = {{ size = [192, 192], range = [-1.0, 1.0] }}
outputs = {{ logits = "logits" }}
classes = {{ Abyssinian = 286, Egyptian_Mau = 286, chihuahua = 152, scottish_terrier = 200 }}
calibration = {{ dataset = "pets", count = 16, metric = "top-k", max_loss = 0.06 }}
[[bench]]
models = ["mobilenet"]
datasets = ["pets"]
metrics = ["top-k"]
precisions = ["fp32", "int8"]
"""


def test_depthwise_convolutions_and_all_others_but_the_first_are_integers(tmp_path):
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    model = read_suite(path, Host.discover()).models["mobilenet"]
    file = locate_model(model, "int8")
    facts = read_card(Path(file.path))["precision"]
    assert facts["layers"] == 28
    assert facts["loss"] <= facts["max_loss"] == 0.06
    executed = open_session(Path(file.path)).executed()
    assert executed["int8"] == facts["layers"] - len(facts["float_nodes"]) >= 25
    assert Path(file.path).stat().st_size < 0.3 * NETWORK.stat().st_size
