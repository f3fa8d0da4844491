"""From torch to the finished graph: the same detections for any batch, in the graph and on the host."""

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from harness.api import ModelCard  # noqa: E402
from harness.evaluate import run_batches  # noqa: E402
from harness.export import check_parity, input_name, to_onnx, torch_outputs  # noqa: E402
from harness.exports import PARITY  # noqa: E402
from harness.flat import by_sample, difference  # noqa: E402
from harness.onnx.metadata import graph_interface  # noqa: E402
from harness.tasks import TASKS  # noqa: E402
from harness_detection.detector import MultiscaleDetector  # noqa: E402
from harness_detection.params import MultiscaleDetectorParams  # noqa: E402

OUTPUTS = ["boxes", "scores", "labels", "image", "level", "activations"]
INPUTS = np.random.default_rng(3).random((11, 3, 64, 64), np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder with both files, what torch gives by sample) of an untrained small detector."""
    folder = tmp_path_factory.mktemp("detector")
    model = MultiscaleDetector(MultiscaleDetectorParams.model_validate({
        "size": 64, "classes": ["one", "two"], "activations": True, "score_threshold": 0.3, "max_detections": 30,
        "levels": [{"stride": 4, "scales": [8, 12]}, {"stride": 16, "scales": [24, 40]}]}))
    torch.manual_seed(0)
    predictor = model.predictor(model.build()).eval()
    card = ModelCard(task="detection", input=model.input, input_name=input_name(model), **model.card_fields())
    (folder / "full.onnx").write_bytes(to_onnx(predictor, model, card).SerializeToString())
    raw_card = ModelCard(**{**dict(card), **model.finish.raw_card()})
    (folder / "raw.onnx").write_bytes(to_onnx(predictor, model, raw_card, raw=True).SerializeToString())
    outputs = torch_outputs(predictor, INPUTS, model.finish.input_names)
    return folder, by_sample(TASKS["detection"], model.finish.reference(outputs), len(INPUTS))


def test_every_output_equals_torch_in_batches_of_1_3_and_8(exported):
    folder, expected = exported
    worst = check_parity(folder / "full.onnx", INPUTS, expected)
    assert set(worst) == {"boxes", "scores", "labels", "level", "activations"}
    assert max(worst.values()) <= PARITY
    assert len(expected["boxes"].values) > 100


def test_the_raw_file_gives_the_same_on_the_host(exported):
    folder, expected = exported
    found = run_batches(folder / "raw.onnx", INPUTS, 4)
    for name, values in expected.items():
        assert difference(found[name], values) <= PARITY


def test_interfaces(exported):
    folder, _ = exported
    inputs, outputs = graph_interface(folder / "full.onnx")
    assert [info.name for info in inputs] == ["pixels"]
    assert inputs[0].shape[1:] == (3, 64, 64)
    assert not isinstance(inputs[0].shape[0], int)
    assert [info.name for info in outputs] == OUTPUTS
    inputs, outputs = graph_interface(folder / "raw.onnx")
    assert [(info.name, info.shape) for info in (*inputs, *outputs)] == [
        ("pixels", (1, 3, 64, 64)), ("raw_boxes", (1, 544, 4)), ("log_odds", (1, 544, 2)),
        ("activations", (1, 2, 16, 16))]
    for name in ("full", "raw"):
        onnx.checker.check_model(str(folder / f"{name}.onnx"), full_check=True)
