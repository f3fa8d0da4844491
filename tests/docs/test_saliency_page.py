"""The commands and the script of the saliency page work, and its pictures are what the script makes."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "saliency.md").read_text("utf-8")


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for code in fences("sh") for line in code.splitlines() if line.startswith("harness explain")]


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture, float)


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("docs_pictures", ROOT / "docs" / "pictures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    """What the page's commands name: a model with a card, one without, photographs, labels."""
    path = tmp_path_factory.mktemp("page")
    shutil.copy(pictures.CAM_CNN, path / "model.onnx")
    model = onnx.load(pictures.CAM_CNN)
    del model.metadata_props[:]
    onnx.save(model, str(path / "foreign.onnx"))
    (path / "labels.txt").write_text("\n".join(["cross", "disc", "ring", "square", "star", "triangle"]))
    for scene, name in zip(pictures.scenes(path, (4, 5)), ("photo.jpg", "other.jpg"), strict=True):
        Image.fromarray(pixels(scene).astype(np.uint8)).save(path / name)
    return path


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_page_run(cli, folder, monkeypatch, line):
    monkeypatch.chdir(folder)
    done = cli(*shlex.split(line)[1:])
    assert done.code == 0, done.err
    assert done.err == ""
    written = re.findall(r"^(?:picture|maps|explainer): (\S+)", done.out, re.MULTILINE)
    assert ("--list-layers" in line) != bool(written)
    assert all(Path(name).is_file() for name in written)
    if "explainer.onnx" in line:  # the page's program runs what was exported
        (program,) = (code for code in fences("python") if "explainer.onnx" in code)
        exec(compile(program, "docs/saliency.md", "exec"), {})


def test_the_explanation_of_the_page_finds_the_shape(cli, folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = cli("explain", "model.onnx", "photo.jpg", "--method", "grad-cam", "--save-map", "found.npy")
    assert "explained: star" in done.out
    map_ = np.load("found.npy")
    assert map_.shape == pixels("photo.jpg").shape[:2] == (96, 96)
    row, column = np.unravel_index(map_.argmax(), map_.shape)
    assert row < 48  # the star is in the upper half
    assert 30 < column < 90


def test_pictures_are_those_of_the_script(pictures, tmp_path):
    for made in pictures.main(tmp_path, masks=16):
        kept = ROOT / "docs" / "pictures" / made.name
        assert kept.stat().st_size < 250_000
        assert f"](pictures/{made.name})" in PAGE
        one, other = pixels(kept), pixels(made)
        assert one.shape == other.shape
        # The photographs, names and probabilities; maps of fewer masks differ.
        assert np.abs(one[:, :224] - other[:, :224]).mean() < 1
