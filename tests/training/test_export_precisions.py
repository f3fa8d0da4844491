"""`harness export` of an export: other precisions, opsets and decoders."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from harness.errors import ModelFileError, UsageError
from harness.evaluate import run_batches
from harness.exports import load_export, sha256
from harness.onnx.metadata import read_card
from harness.precisions import add_precision, check_precisions
from harness.suite import CalibrationTable
from harness.table import Table
from harness.verify import verify

pytest.importorskip("torch")

FEW = CalibrationTable(count=6, max_loss=1.0)


def silent(text):
    """Nobody is told."""


def test_precisions_are_recorded_and_verified(keypoints_host, own_export):
    for precision in ("fp16", "int8"):
        record = add_precision(keypoints_host, own_export, precision, FEW, silent)
        path = own_export / f"model.{precision}.onnx"
        assert record.files[precision].sha256 == sha256(path)
        assert record.variants[precision].facts.source_sha256 == record.files["fp32"].sha256
        assert record.variants[precision].accuracy.keys() == record.accuracy.keys()
        assert read_card(path)["precision"]["precision"] == precision
    assert load_export(own_export) == record
    checks = {check.name: check for check in verify(keypoints_host, own_export)}
    assert {"onnx int8", "accuracy int8", "onnx fp16", "accuracy fp16"} <= checks.keys()
    assert not {"parity int8", "parity fp16"} & checks.keys()
    assert all(check.passed for check in checks.values()), [check for check in checks.values() if not check.passed]


def test_another_export_drops_files_made_from_the_old_graph(keypoints_host, own_export):
    from harness.export import export

    add_precision(keypoints_host, own_export, "fp16", FEW, silent)
    record = export(keypoints_host, own_export, own_export.parent)
    assert not (own_export / "model.fp16.onnx").exists()
    assert set(record.files) == {"fp32"}
    assert not record.variants


def test_an_export_of_an_export_has_its_weights_and_history(keypoints_host, exported, tmp_path):
    from harness.export import export

    record = export(keypoints_host, exported, tmp_path, id_="again", changes={"decoder": "argmax"}, opset=20)
    before = load_export(exported)
    assert record.weights_sha256 == before.weights_sha256 == sha256(tmp_path / "again" / "weights.safetensors")
    assert record.history == before.history
    assert record.snapshots.sha256 == before.snapshots.sha256
    assert record.params["decoder"] == "argmax"
    model = onnx.load(tmp_path / "again" / "model.fp32.onnx")
    assert next(entry.version for entry in model.opset_import if entry.domain == "") == 20
    inputs = Table.load(exported / "golden.npz").dense("input.image")
    old, new = (run_batches(folder / "model.fp32.onnx", inputs, 2) for folder in (exported, tmp_path / "again"))
    np.testing.assert_allclose(new["heatmaps"], old["heatmaps"], atol=1e-5)
    assert np.abs(new["keypoints"] - old["keypoints"]).max() > 1e-3  # another decoder


@pytest.mark.parametrize("opset", [12, 99])
def test_an_opset_that_nothing_writes(keypoints_host, exported, tmp_path, opset):
    from harness.export import export

    with pytest.raises(UsageError, match=f"opset {opset} can not be exported: 18 to"):
        export(keypoints_host, exported, tmp_path, opset=opset)


def test_what_can_not_be_made(keypoints_host, own_export, tmp_path):
    with pytest.raises(UsageError, match="--precision int4: can not be made; fp16, fp32, int8 can"):
        check_precisions(["int8", "int4"])
    with pytest.raises(ModelFileError, match="not an export"):
        add_precision(keypoints_host, tmp_path, "int8", FEW, silent)
    (own_export / "model.fp32.onnx").unlink()
    with pytest.raises(ModelFileError, match="no such model file"):
        add_precision(keypoints_host, own_export, "fp16", FEW, silent)


def test_on_the_command_line(cli, own_export, tmp_path):
    done = cli("export", own_export, "--precision", "int8", "--calibration", "count=6", "--calibration", "max_loss=1.0",
               "--output", tmp_path / "copy", "--id", "small")
    assert done.code == 0, done.err
    folder = tmp_path / "copy" / "small"
    assert str(folder / "model.int8.onnx") in done.out
    assert "pck@0.05" in done.out
    assert load_export(folder).id == "small"
    assert not (own_export / "model.int8.onnx").exists()
    assert "ranges of the activations on 6 samples of stick-figures:train" in done.err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--precision", "int3"], "--precision int3: can not be made"),
    (["--precision", "int8", "--calibration", "counts=3"], "--calibration counts"),
    (["--precision", "int8", "--calibration", "dataset=x"], "calibrated on its own training data"),
    (["--set", "decoder"], "--set decoder: must be KEY=VALUE"),
])
def test_mistakes_on_the_command_line(cli, exported, arguments, message):
    done = cli("export", exported, *arguments)
    assert done.code == 2
    assert message in done.err
