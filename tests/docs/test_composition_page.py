"""The examples of the page on composition work."""

import re
import shutil
from pathlib import Path

import onnx
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "composition.md").read_text("utf-8")


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("index", range(len(fences("python"))))
def test_programs_run(tmp_path, monkeypatch, index):
    shutil.copy(ROOT / "exports/cam-cnn/model.fp32.onnx", tmp_path / "classifier.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(fences("python")[index], "docs/composition.md", "exec"), {})
    if "explainer.onnx" in fences("python")[index]:
        onnx.checker.check_model("explainer.onnx", full_check=True)


def test_the_suite_is_valid(cli, tmp_path):
    (suite,) = fences("toml")
    (tmp_path / "suite.toml").write_text(suite)
    done = cli("validate", tmp_path / "suite.toml")
    assert done.code == 0, done.err
