"""From checkpoint to ONNX: the same numbers as torch, dynamic batch, a complete record."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import onnx  # noqa: E402

from harness import checkpoint  # noqa: E402
from harness.errors import ModelFileError, UsageError  # noqa: E402
from harness.evaluate import run_batches  # noqa: E402
from harness.export import ExportError, check_parity, export, torch_outputs  # noqa: E402
from harness.exports import load_export, sha256  # noqa: E402
from harness.onnx.metadata import read_card  # noqa: E402
from harness.specs import ModelSpec  # noqa: E402
from harness.table import Table  # noqa: E402
from harness.train import create_model, load_split  # noqa: E402


@pytest.fixture(scope="module")
def network(keypoints_host, trained):
    """The trained HeatmapNet and its test inputs."""
    record = checkpoint.load_record(trained)
    spec = keypoints_host.spec(ModelSpec, "heatmapnet")
    model = create_model(spec, spec.params())
    module = model.build()
    checkpoint.load_weights(trained / "best.safetensors", module)
    data = load_split(keypoints_host, spec.recipe.model_validate(record.recipe), model, "test")
    return model.predictor(module).eval(), data.inputs(slice(16))


def test_the_graph_has_the_fixed_names_and_a_dynamic_batch(exported):
    model = onnx.load(exported / "model.fp32.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["image"]
    assert [value.name for value in model.graph.output] == ["keypoints", "scores", "heatmaps"]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param
    assert next(entry.version for entry in model.opset_import if entry.domain == "") >= 18
    assert not (exported / "model.fp32.onnx.data").exists()


def test_outputs_equal_torch_on_real_inputs_at_any_batch(exported, network):
    predictor, inputs = network
    expected = torch_outputs(predictor, inputs, ("keypoints", "scores", "heatmaps"))
    for batch in (1, 3, 8, 16):
        outputs = run_batches(exported / "model.fp32.onnx", inputs, batch)
        for name, values in expected.items():
            assert np.abs(outputs[name] - values).max() <= 1e-4, (batch, name)


def test_nothing_of_the_machine_is_left_in_the_file(exported):
    model = onnx.load(exported / "model.fp32.onnx")
    assert [entry.key for entry in model.metadata_props] == ["harness"]
    content = (exported / "model.fp32.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content


def test_the_record_says_what_was_measured(exported, trained):
    record = load_export(exported)
    for file in (record.files["fp32"], record.golden, record.snapshots):
        assert sha256(exported / file.file) == file.sha256
        assert (exported / file.file).stat().st_size == file.bytes
    assert record.weights_sha256 == sha256(trained / "best.safetensors")
    assert set(record.parity) == {"keypoints", "scores", "heatmaps"}
    assert max(record.parity.values()) <= 1e-4
    assert record.parity_samples >= 16
    assert record.accuracy["pck@0.05"].n == 30 * 5
    assert {"peak-calibration", "pck.mean-error", "pck.head@0.2"} <= record.accuracy.keys()
    assert record.dataset.params["split"] == "test"
    assert record.dataset.params["scale"]
    assert [row.epoch for row in record.history] == [1, 2]
    assert json.loads((exported / "export.json").read_text())["schema"] == 1


def test_the_card_is_in_the_file(exported):
    card = read_card(exported / "model.fp32.onnx")
    assert card["task"] == "keypoints"
    assert card["input"]["size"] == [128, 128]
    assert card["labels"][1] == "left hand"
    assert card["weights_sha256"] == load_export(exported).weights_sha256


def test_golden_outputs_are_those_of_torch(exported, network):
    golden = Table.load(exported / "golden.npz")
    expected = torch_outputs(network[0], golden.dense("input.image"), ("keypoints", "scores", "heatmaps"))
    for name, values in expected.items():
        np.testing.assert_allclose(golden.dense(f"output.{name}"), values, atol=1e-5)


def test_a_graph_that_differs_is_not_exported(exported, network):
    predictor, inputs = network
    expected = torch_outputs(predictor, inputs, ("keypoints", "scores", "heatmaps"))
    expected["scores"] = expected["scores"] + 0.001
    with pytest.raises(ExportError, match=r"differs from torch: scores by 1\.0\de-03"):
        check_parity(exported / "model.fp32.onnx", inputs, expected)


def test_params_that_do_not_exist_are_named(keypoints_host, trained, tmp_path):
    with pytest.raises(UsageError, match="decodr"):
        export(keypoints_host, trained, tmp_path, changes={"decodr": "dark"})


def test_a_folder_that_is_no_checkpoint(keypoints_host, tmp_path):
    with pytest.raises(ModelFileError, match=r"not a checkpoint folder, it has no training\.json"):
        export(keypoints_host, tmp_path, tmp_path)
