"""Which file a suite's model is, and when it is refused."""

import json
from pathlib import Path

import pytest

from harness import exports
from harness.contracts import ModelRequest
from harness.errors import ModelFileError
from harness_keypoints.params import HeatmapNetParams, RegressionNetParams

SHIPPED = Path(__file__).parents[2] / "exports"


def make(folder, *, precision="fp32", record=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"model.{precision}.onnx"
    path.write_bytes(b"onnx")
    if record is not None:
        data = json.loads((SHIPPED / "heatmapnet" / "export.json").read_text())
        for table, changes in record.items():
            data[table] = {**data[table], **changes} if isinstance(changes, dict) else changes
        (folder / "export.json").write_text(json.dumps(data))
    return path


def find(folders, params=None, **request):
    settings = {"id": "mine", "precision": "fp32", "export": None, "export_id": "heatmapnet"}
    return exports.find(params or HeatmapNetParams(), ModelRequest(folders=tuple(folders), **{**settings, **request}))


def test_the_suites_id_comes_before_the_export_id_and_folders_in_order(tmp_path):
    shared = make(tmp_path / "b" / "heatmapnet")
    assert find([tmp_path / "a", tmp_path / "b"]).path == shared
    own = make(tmp_path / "b" / "mine")
    assert find([tmp_path / "a", tmp_path / "b"]).path == own
    first = make(tmp_path / "a" / "heatmapnet")
    assert find([tmp_path / "a", tmp_path / "b"]).path == first


def test_shipped_exports_come_last(tmp_path):
    assert find([tmp_path]).path == exports.shipped() / "heatmapnet" / "model.fp32.onnx"


def test_an_explicit_export_is_a_folder_or_a_file(tmp_path):
    path = make(tmp_path / "elsewhere")
    assert find([], export=tmp_path / "elsewhere").path == path
    assert find([], export=path).path == path


def test_an_explicit_export_that_is_missing_does_not_fall_back(tmp_path):
    with pytest.raises(ModelFileError, match=r"correct models\.mine\.export"):
        find([tmp_path], export=tmp_path / "nothing")


def test_none_at_all_says_where_it_looked_and_the_way_out(tmp_path):
    with pytest.raises(ModelFileError) as error:
        find([tmp_path], export_id="other")
    message = str(error.value)
    assert str(tmp_path / "mine") in message
    assert str(tmp_path / "other") in message
    assert "harness train SUITE --only mine" in message


def test_another_precision_is_named(tmp_path):
    make(tmp_path / "mine")
    with pytest.raises(ModelFileError, match=r"no model\.int8\.onnx, only fp32"):
        find([tmp_path], precision="int8", export_id="other")


def test_params_that_contradict_are_named(tmp_path):
    make(tmp_path / "mine", record={"params": {"decoder": "dark", "sigma": 3.0}})
    with pytest.raises(ModelFileError) as error:
        find([tmp_path])
    message = str(error.value)
    assert "decoder = 'dark' there, 'log-quadratic' in the suite" in message
    assert "sigma = 3.0 there, 2.0 in the suite" in message
    assert "harness train SUITE --only mine" in message


def test_a_recipe_that_contradicts_is_named(tmp_path):
    make(tmp_path / "mine", record={"recipe": {"epochs": 5, "dataset_params": {"scale": [0.4, 0.7], "tilt": 5}}})
    assert find([tmp_path], train={"epochs": 5}).path == tmp_path / "mine" / "model.fp32.onnx"
    assert find([tmp_path], train={"dataset_params": {"scale": (0.4, 0.7)}})
    with pytest.raises(ModelFileError, match=r"train\.epochs = 5 there, 30 in the suite"):
        find([tmp_path], train={"epochs": 30})
    with pytest.raises(ModelFileError, match=r"train\.dataset_params"):
        find([tmp_path], train={"dataset_params": {"scale": [0.5, 0.7]}})


def test_an_export_of_another_model_is_refused(tmp_path):
    make(tmp_path / "mine", record={})
    with pytest.raises(ModelFileError, match='is an export of "heatmapnet"'):
        find([tmp_path], RegressionNetParams(), export_id="regressionnet")


def test_a_damaged_record_is_named(tmp_path):
    make(tmp_path / "mine")
    (tmp_path / "mine" / "export.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"export\.json: can not be used"):
        find([tmp_path])


def test_the_shipped_exports_fit_the_plugins_defaults():
    for params, name in ((HeatmapNetParams(), "heatmapnet"), (RegressionNetParams(), "regressionnet")):
        assert find([], params, id=name, export_id=name).path.is_file()
