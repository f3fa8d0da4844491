"""torch as a backend: the same network, the same outputs, its own settings given back."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.errors import ModelFileError  # noqa: E402
from harness.flat import by_sample, difference  # noqa: E402
from harness.onnx.session import open_session  # noqa: E402
from harness.table import Table  # noqa: E402
from harness.tasks import TASKS  # noqa: E402
from harness_torch.backend import CompileBackend, EagerBackend  # noqa: E402
from harness_torch.params import CompileParams, EagerParams  # noqa: E402

EXPORTS = Path(__file__).parents[2] / "exports"
MODELS = {"heatmapnet": "keypoints", "cam-cnn": "classification", "multiscale-detector": "detection",
          "unet-cells": "segmentation", "regressionnet": "keypoints"}


@pytest.mark.parametrize("name", MODELS)
def test_eager_equals_the_export(name):
    image = Table.load(EXPORTS / name / "golden.npz").dense("input.image")
    ours = open_session(EXPORTS / name / "model.fp32.onnx")
    theirs = EagerBackend(EagerParams()).open(EXPORTS / name, threads=1)
    feeds = {ours.inputs[0].name: image}
    expected, found = (by_sample(TASKS[MODELS[name]], session.run(feeds), len(image)) for session in (ours, theirs))
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert difference(found[key], values) <= 2e-4, key
    theirs.close()


def test_threads_are_those_asked_for_and_given_back():
    before = torch.get_num_threads()
    session = EagerBackend(EagerParams()).open(EXPORTS / "cam-cnn", threads=before + 1)
    assert torch.get_num_threads() == before + 1
    session.close()
    assert torch.get_num_threads() == before


def test_bf16_differs_and_says_so():
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")
    exact, rounded = (EagerBackend(EagerParams(bf16=bf16)).open(EXPORTS / "cam-cnn", threads=1)
                      for bf16 in (False, True))
    assert set(exact.executed()) == {"float32"}
    assert rounded.executed() == {"bfloat16": exact.executed()["float32"]}
    gap = np.abs(exact.run({"image": image})["logits"] - rounded.run({"image": image})["logits"]).max()
    assert 1e-4 < gap < 0.5


def test_an_export_without_weights(tmp_path):
    folder = shutil.copytree(EXPORTS / "cam-cnn", tmp_path / "cam-cnn")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"weights\.safetensors"):
        EagerBackend(EagerParams()).open(folder, threads=1)
    with pytest.raises(ModelFileError, match="not an export"):
        EagerBackend(EagerParams()).open(tmp_path, threads=1)


def test_cuda_without_a_gpu_is_unavailable():
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert "no CUDA device" in EagerBackend(EagerParams(device="cuda")).unavailable()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch about itself
def test_compiled_equals_the_export():
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")
    session = CompileBackend(CompileParams()).open(EXPORTS / "cam-cnn", threads=1)
    expected = open_session(EXPORTS / "cam-cnn" / "model.fp32.onnx").run({"image": image})["logits"]
    np.testing.assert_allclose(session.run({"image": image})["logits"], expected, atol=1e-4)
    session.bind({"image": image[:1]})()
    session.close()
