"""Explainers beside the file that they were made from."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.api import open_session
from harness.contracts import ModelFile
from harness.onnx.explainer import of_predicted_class
from harness.onnx.models import load_card
from harness.onnx.scores import scores_graph
from harness.onnx.sharing import save_sharing

EXPORT = Path(__file__).parents[2] / "exports/cam-cnn/model.fp32.onnx"
IMAGES = np.random.default_rng(0).normal(size=(2, 3, 96, 96)).astype(np.float32)
CLASSES = np.array([1, 4])


@pytest.mark.parametrize("method", ["grad-cam", "guided-backprop", "integrated-gradients", "cam"])
def test_weights_stay_in_the_file_of_the_network(explained, tmp_path, method):
    base = tmp_path / "model.onnx"
    base.write_bytes(EXPORT.read_bytes())
    made = explained(method, onnx.load(base), load_card(ModelFile(base)))
    save_sharing(made.graph, tmp_path / "explainer.onnx", base)
    assert (tmp_path / "explainer.onnx").stat().st_size < 50_000 < base.stat().st_size / 5
    found = open_session(tmp_path / "explainer.onnx").run({"image": IMAGES, "class": CLASSES})
    np.testing.assert_array_equal(found["saliency"], made.maps(IMAGES, CLASSES))


def test_an_explainer_of_resnet18_adds_little_beside_its_weights(zoo, explained, card_of):
    """The network has a quarter of the width of the original, and as many nodes."""
    model = zoo.export("resnet18", "torchscript")
    made = explained("guided-grad-cam", model, card_of([64, 64], output="scores"))
    known = {each.name for each in model.graph.initializer}
    shared = [each for each in made.graph.graph.initializer if each.name in known]
    assert len(shared) > 20
    assert made.graph.ByteSize() - sum(each.ByteSize() for each in shared) < 60_000


def test_the_class_may_be_left_to_the_network(explained):
    model, card = onnx.load(EXPORT), load_card(ModelFile(EXPORT))
    for method in ("grad-cam", "integrated-gradients", "cam", "eigen-cam"):
        made = explained(method, model, card)
        free = of_predicted_class(made.graph, scores_graph(model, card, EXPORT).model)
        onnx.checker.check_model(free, full_check=True)
        assert [value.name for value in free.graph.input] == ["image"]
        logits = open_session(EXPORT).run({"image": IMAGES})["logits"]
        (found,) = explained_session(free).run(None, {"image": IMAGES})
        np.testing.assert_allclose(found, made.maps(IMAGES, logits.argmax(axis=1)), rtol=1e-4, atol=1e-6)


def explained_session(model):
    from harness.onnx.runtime import onnxruntime

    return onnxruntime().InferenceSession(model.SerializeToString())
