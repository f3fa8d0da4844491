"""Files of other precisions, made when a suite asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SuiteError
from harness.host import Host
from harness.identity import locate_model
from harness.onnx.metadata import read_card
from harness.reading import read_suite
from harness.run import RunOptions, run_suite

EXPORTS = Path(__file__).parents[2] / "exports"
OWN = f"""
[suite]
name = "own"
[datasets.scenes]
use = "foreground"
count = 40
[models.cam]
use = "cam-cnn"
export = "{EXPORTS / 'cam-cnn'}"
calibration = {{ count = 12 }}
[[bench]]
models = ["cam"]
datasets = ["scenes"]
metrics = ["top-k"]
precisions = ["fp32", "fp16", "int8"]
"""
FOREIGN = OWN.replace('use = "cam-cnn"', 'use = "onnx"').replace('export = ', 'path = ').replace(
    "cam-cnn\"", "cam-cnn/model.fp32.onnx\"")


class Silent:
    def started(self, plan, directory, resumed): ...
    def progress(self, key, done, total): ...
    def finished(self, result): ...
    def warn(self, message): ...
    def tell(self, message): ...


@pytest.fixture
def suite(tmp_path):
    def read(text):
        path = tmp_path / "suite.toml"
        path.write_text(text)
        return read_suite(path, Host.discover())

    return read


def outcome(suite, tmp_path):
    options = RunOptions(output=tmp_path / "run", executor="inline", cache=tmp_path / "cache")
    run = run_suite(suite, Host.discover(), options, Silent())
    return {cell.precision: cell for cell in run.results.cells}


def test_a_trained_model_is_calibrated_on_its_own_data(suite, tmp_path):
    cells = outcome(suite(OWN), tmp_path)
    assert [cell.status for cell in cells.values()] == ["ok"] * 3, [cell.error for cell in cells.values()]
    exact = cells["fp32"].metrics["top-k@1"].value
    assert cells["fp16"].metrics["top-k@1"].value == pytest.approx(exact, abs=0.026)
    assert cells["int8"].metrics["top-k@1"].value == pytest.approx(exact, abs=0.051)
    assert set(cells["fp32"].executed) == {"float32"}
    assert cells["int8"].executed["int8"] >= 3
    assert cells["int8"].cost.model_mb < 0.5 * cells["fp32"].cost.model_mb


def test_the_file_says_how_it_was_made_and_is_made_once(suite):
    entry = suite(OWN).models["cam"]
    file = locate_model(entry, "int8")
    facts = read_card(file.path)["precision"]
    assert facts["calibration"]["dataset"] == "foreground:train"
    assert facts["calibration"]["count"] == 12
    assert facts["calibration"]["params"]["split"] == "train"
    assert facts["metric"].startswith("top-k")
    assert facts["loss"] <= facts["max_loss"] == 0.005
    assert facts["steps"][-1][1] == facts["loss"]
    assert len(facts["float_nodes"]) < facts["layers"]
    before = Path(file.path).stat().st_mtime_ns
    assert locate_model(entry, "int8") == file
    assert Path(file.path).stat().st_mtime_ns == before
    other = suite(OWN.replace("count = 12", "count = 13")).models["cam"]
    assert locate_model(other, "int8").path != file.path


def test_a_loss_that_can_not_be_held_is_no_file(suite):
    entry = suite(OWN.replace("count = 12", "count = 1, max_loss = 0.0, metric = \"nll\"")).models["cam"]
    with pytest.raises(Exception, match=r"int8 loses 0\.\d+ of nll even with half of its layers in float"):
        locate_model(entry, "int8")


def test_a_foreign_model_needs_calibration_data(suite, tmp_path):
    cells = outcome(suite(FOREIGN.replace("calibration = { count = 12 }", "")), tmp_path)
    assert cells["fp32"].status == cells["fp16"].status == "ok"
    assert cells["int8"].status == "failed"
    assert 'set models.cam.calibration = { dataset = "NAME", count = 100 }' in cells["int8"].error.message


def test_a_foreign_model_with_calibration_data(suite, tmp_path):
    given = suite(FOREIGN.replace("{ count = 12 }", '{ dataset = "scenes", split = "train", count = 12 }'))
    cells = outcome(given, tmp_path)
    assert cells["int8"].status == "ok", cells["int8"].error
    facts = read_card(Path(cells["int8"].model_file))["precision"]
    assert facts["calibration"]["dataset"] == "scenes"
    assert facts["calibration"]["params"]["split"] == "train"
    assert facts.get("metric") is None
    searched = suite(FOREIGN.replace("{ count = 12 }", '{ dataset = "scenes", count = 12, metric = "top-k" }'))
    assert read_card(locate_model(searched.models["cam"], "int8").path)["precision"]["metric"] == "top-k@1"


@pytest.mark.parametrize(("calibration", "message"), [
    ('{ dataset = "scene" }', r'scene'), ('{ dataset = "scenes", count = 0 }', "greater than 0"),
    ('{ dataset = "scenes", metric = "top-q" }', "top-q"), ('{ dataset = "scenes", method = "best" }', "minmax"),
    ("{ count = 12 }", "has no training data of its own; name a dataset"),
])
def test_mistakes_are_located(suite, calibration, message):
    with pytest.raises(SuiteError, match=message) as caught:
        suite(FOREIGN.replace("{ count = 12 }", calibration))
    assert all(problem.line for problem in caught.value.problems)


def test_an_unknown_precision(suite):
    with pytest.raises(SuiteError, match='does not run fp8'):
        suite(OWN.replace('"fp16", "int8"', '"fp8"'))
