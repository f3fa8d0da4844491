"""What is explained of each task's graph, and handles on models."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from harness.api import ModelCard, ModelFileError, open_session
from harness.contracts import ModelFile
from harness.handle import open_handle
from harness.onnx.models import load_card
from harness.onnx.scores import scores_graph

EXPORTS = Path(__file__).parents[2] / "exports"
CARD = ModelCard.model_validate({"task": "classification", "input": {"size": [8, 6], "range": [0, 1]}})


def cpu(path):
    return open_session(path, provider="CPUExecutionProvider")


@pytest.fixture
def opened(save):
    handles = []

    def open_(model, card=CARD, name="tiny.onnx"):
        path = model if isinstance(model, Path) else save(model, name)
        passes = []
        handle, note = open_handle(card, path, cpu, passes.append)
        handles.append(handle)
        return handle, note, passes

    yield open_
    for handle in handles:
        handle.close()


def noise(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


def shipped(name):
    path = EXPORTS / name / "model.fp32.onnx"
    return path, load_card(ModelFile(path))


def outputs(path, inputs):
    return cpu(path).run({cpu(path).inputs[0].name: inputs})


def with_end(model, *kinds):
    """The model with further nodes behind its logits."""
    for index, kind in enumerate(kinds):
        last = model.graph.output[0].name
        model.graph.node.append(helper.make_node(kind, [last], [f"end{index}"]))
        model.graph.output[0].name = f"end{index}"
    return model


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_a_final_softmax_is_left_out_and_said(make_model, opened, kind):
    inputs = noise(3, 3, 8, 6)
    plain, note, _ = opened(make_model())
    assert note == ""
    ended, note, _ = opened(with_end(make_model(), kind, "Identity"), name="ended.onnx")
    assert kind in note
    np.testing.assert_array_equal(ended.predict(inputs), plain.predict(inputs))


def test_a_graph_with_a_fixed_batch_is_run_in_pieces(make_model, opened):
    inputs = noise(5, 3, 8, 6)
    free, _, passes = opened(make_model())
    fixed, _, _ = opened(make_model(batch=2), name="fixed.onnx")
    np.testing.assert_allclose(fixed.predict(inputs), free.predict(inputs), rtol=1e-6)
    np.testing.assert_allclose(fixed.activations(inputs, "r"), free.activations(inputs, "r"), rtol=1e-6)
    assert passes == [5, 5]


def test_activations_are_those_of_the_last_spatial_activation(make_model, opened):
    inputs = noise(2, 3, 8, 6)
    handle, _, _ = opened(make_model())
    assert handle.layer == "r"
    np.testing.assert_allclose(handle.activations(inputs).mean((2, 3)), handle.predict(inputs), rtol=1e-5)
    with pytest.raises(ModelFileError, match=r"no node of the graph computes 'relu'"):
        handle.activations(inputs, "relu")
    with pytest.raises(ModelFileError, match=r"layer 'logits' has shape \(2, 4\), not \(N, C, h, w\)"):
        handle.activations(inputs, "logits")


def test_other_weights_last_as_long_as_their_context(make_model, opened):
    inputs = noise(2, 3, 8, 6)
    handle, _, _ = opened(make_model())
    before = handle.predict(inputs)
    weights = next(numpy_helper.to_array(each) for each in handle.graph.graph.initializer if each.name == "weights")
    with handle.with_weights({"weights": 2 * weights}) as other:
        np.testing.assert_allclose(other.predict(inputs), 2 * before, rtol=1e-5)
    np.testing.assert_array_equal(handle.predict(inputs), before)
    for name, value, message in (("weight", weights, "did you mean"), ("weights", weights[1:], r"\(4, 3, 3, 3\)")):
        with pytest.raises(ModelFileError, match=message), handle.with_weights({name: value}):
            pass


def test_keypoints_are_explained_by_the_peaks_of_their_heatmaps(opened):
    path, card = shipped("heatmapnet")
    inputs = noise(2, 1, *card.input.size)
    handle, _, _ = opened(path, card)
    np.testing.assert_array_equal(handle.predict(inputs), outputs(path, inputs)["heatmaps"].max((2, 3)))


def test_keypoints_without_heatmaps_can_not_be_explained(opened):
    with pytest.raises(ModelFileError, match="heatmaps"):
        opened(*shipped("regressionnet"))


def test_segmentation_is_explained_by_the_mean_logit_where_a_class_wins(opened):
    path, card = shipped("unet-cells")
    inputs = noise(2, 1, *card.input.size)
    handle, _, _ = opened(path, card)
    logits = outputs(path, inputs)["logits"].astype(np.float64)
    wins = logits == logits.max(axis=1, keepdims=True)
    expected = (logits * wins).sum((2, 3)) / np.maximum(wins.sum((2, 3)), 1)
    np.testing.assert_allclose(handle.predict(inputs), expected, rtol=1e-4)


def test_a_single_logit_is_explained_where_it_is_positive():
    card = CARD.model_copy(update={"task": "segmentation"})
    graph = helper.make_graph(
        [helper.make_node("Neg", ["image"], ["negative"]), helper.make_node("Neg", ["negative"], ["logits"])], "single",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, 2, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    scores = ReferenceEvaluator(scores_graph(model, card, Path("x")).model).run(
        None, {"image": np.array([[[[1, 3], [-5, 0]]], [[[-1, -2], [-1, -1]]]], np.float32)})[0]
    np.testing.assert_allclose(scores, [[4 / 3], [0]])


@pytest.mark.parametrize("name", ["model.fp32.onnx", "model.raw.fp32.onnx"])
def test_a_detector_is_explained_by_the_best_anchor_of_each_class(opened, name):
    path, card = shipped("multiscale-detector")
    raw = path.with_name("model.raw.fp32.onnx")  # of batch 1
    inputs = noise(2, 3, *card.input.size)
    log_odds = np.concatenate([outputs(raw, inputs[i : i + 1])["log_odds"] for i in range(2)])
    path = path.with_name(name)
    card = load_card(ModelFile(path))
    handle, _, _ = opened(path, card)
    np.testing.assert_allclose(handle.predict(inputs), log_odds.max(axis=1), rtol=1e-5, atol=1e-5)


def test_old_graphs_are_brought_to_an_opset_with_axes_as_inputs(make_model, opened):
    model = make_model()
    del model.graph.node[:], model.graph.initializer[1:]
    model.graph.node.extend([helper.make_node("Conv", ["image", "weights"], ["c"], pads=[1, 1, 1, 1]),
                             helper.make_node("Relu", ["c"], ["r"]),
                             helper.make_node("ReduceMean", ["r"], ["logits"], keepdims=0, axes=[2, 3])])
    model.opset_import[0].version = 11
    old, _, _ = opened(model, name="old.onnx")
    inputs = noise(2, 3, 8, 6)
    new, _, _ = opened(make_model())
    assert old.graph.opset_import[0].version == 18
    np.testing.assert_allclose(old.predict(inputs), new.predict(inputs), rtol=1e-6)


@pytest.mark.parametrize(("kind", "expected"), [
    (None, lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)),
    ("Softmax", lambda z: np.exp(z) / np.exp(z).sum(1, keepdims=True)),
    ("Sigmoid", lambda z: 1 / (1 + np.exp(-z))),
])
def test_probabilities_are_those_that_the_model_would_give(make_model, opened, kind, expected):
    model = make_model() if kind is None else with_end(make_model(), kind)
    handle, _, _ = opened(model)
    scores = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32) * 30
    np.testing.assert_allclose(handle.probabilities(scores), expected(scores.astype(np.float64)), rtol=1e-9)
    weights = next(numpy_helper.to_array(each) for each in handle.graph.graph.initializer if each.name == "weights")
    with handle.with_weights({"weights": weights}) as other:
        np.testing.assert_array_equal(other.probabilities(scores), handle.probabilities(scores))


def test_a_single_score_has_a_probability_and_scores_of_other_tasks_none(make_model, opened):
    handle, _, _ = opened(make_model())
    np.testing.assert_allclose(handle.probabilities(np.array([[0.0], [2.0]])), [[0.5], [1 / (1 + np.exp(-2))]])
    other, _, _ = opened(*shipped("unet-cells"))
    np.testing.assert_array_equal(other.probabilities(np.array([[3.0, -1.0]])), [[3, -1]])
