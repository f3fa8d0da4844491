"""The saliency metric: what the network gets to see, and what is made of its answer."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.card import ModelCard
from harness.handle import open_handle
from harness.onnx.session import open_session
from harness.table import Table
from harness_saliency_metrics.saliency_metric import WORST, enlarge

SHAPE = (20, 16)


class Network:
    """Remembers its inputs; the logit of class 1 is their mean, of class 0 it is 0."""

    def __init__(self, axis):
        self.inputs, self.axis = [], axis

    def __call__(self, inputs):
        self.inputs.append(inputs)
        mean = inputs.mean(axis=(1, 2, 3))
        return np.stack([np.zeros_like(mean), mean], axis=1)


def show(box):
    values = np.zeros(SHAPE, np.float32)
    values[box[1]:box[3], box[0]:box[2]] = 1
    return values


def probability(mean):
    return 1 / (1 + math.exp(-mean))


def bilinear(plane, box):
    """Pixel by pixel: half-pixel centers, the crop's border repeated."""
    x0, y0, x1, y1 = box
    height, width = plane.shape
    found = np.zeros(plane.shape)
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * (y1 - y0) / height - 0.5, 0), y1 - y0 - 1)
            x = min(max((j + 0.5) * (x1 - x0) / width - 0.5, 0), x1 - x0 - 1)
            v, u = int(y), int(x)
            below, right = min(v + 1, y1 - y0 - 1), min(u + 1, x1 - x0 - 1)
            top = plane[y0 + v, x0 + u] * (1 - x + u) + plane[y0 + v, x0 + right] * (x - u)
            bottom = plane[y0 + below, x0 + u] * (1 - x + u) + plane[y0 + below, x0 + right] * (x - u)
            found[i, j] = top * (1 - y + v) + bottom * (y - v)
    return found


@pytest.mark.parametrize("box", [(3, 2, 9, 13), (0, 0, 16, 20), (5, 7, 6, 8), (0, 4, 16, 5), (15, 0, 16, 20)])
def test_a_crop_is_enlarged_bilinearly(box):
    plane = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    np.testing.assert_allclose(enlarge(plane, np.array(box)), bilinear(plane, box), atol=1e-5)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_crop_and_mask(layout, batch, metric):
    boxes = [(3, 2, 9, 13), (0, 0, 2, 2)]
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(2, 3, *SHAPE)).astype(np.float32)
    given = inputs if layout == "NCHW" else np.ascontiguousarray(inputs.transpose(0, 2, 3, 1))
    network = Network(layout)
    samples = batch([show(box) for box in boxes], inputs=given, predict=network, spec={"layout": layout})
    rows = metric("saliency-metric", region="both").measure(samples)
    seen = [each if layout == "NCHW" else each.transpose(0, 3, 1, 2) for each in network.inputs]
    assert [len(each) for each in seen] == [2, 2]  # one batch for each region
    for index, box in enumerate(boxes):
        crop = np.stack([bilinear(plane, box) for plane in inputs[index]])
        np.testing.assert_allclose(seen[0][index], crop, atol=1e-5)
        np.testing.assert_array_equal(seen[1][index], inputs[index] * show(box))
        area = (box[2] - box[0]) * (box[3] - box[1]) / show(box).size
        for region, shown in (("box", crop), ("mask", inputs[index] * show(box))):
            expected = math.log(max(0.05, area)) - math.log(probability(shown.mean()))
            assert rows.dense(region)[index, 0] == pytest.approx(expected, abs=1e-6)


def test_a_mask_is_the_component_and_not_its_box(batch, metric):
    """A diagonal: its box is the whole image, its pixels are few."""
    network = Network("NCHW")
    inputs = np.ones((1, 1, 16, 16), np.float32)
    samples = batch([np.eye(16)], inputs=inputs, predict=network)
    rows = metric("saliency-metric").measure(samples)
    assert rows.dense("box")[0, 0] == pytest.approx(math.log(1) - math.log(probability(1)))
    assert rows.dense("mask")[0, 0] == pytest.approx(math.log(16 / 256) - math.log(probability(16 / 256)))


def test_without_a_crop_the_networks_first_answer_counts(batch, metric):
    network = Network("NCHW")
    inputs = np.stack([np.full((1, *SHAPE), value, np.float32) for value in (1, -1)])
    samples = batch([show((0, 0, 16, 10))] * 2, inputs=inputs, predict=network)
    rows = metric("saliency-metric", convention="no-crop", region="both").measure(samples)
    assert len(network.inputs) == 1  # both regions share the answer
    expected = [math.log(0.5) - math.log(probability(1)), math.log(0.5) - math.log(probability(-1))]
    np.testing.assert_allclose(rows.dense("box")[:, 0], expected)


@pytest.mark.parametrize("final", ["Softmax", "Sigmoid"])
@pytest.mark.parametrize("convention", ["crop", "no-crop"])
def test_probabilities_are_not_turned_into_probabilities_again(convention, final, batch, values, tmp_path):
    """Of a graph that ends with its probabilities: one class has .99 (Softmax), each class its own (Sigmoid)."""
    scores = np.array([math.log(0.99), math.log(0.01)] if final == "Softmax" else [2.0, -3.0], np.float32)
    expected = 0.01 if final == "Softmax" else probability(-3)
    path = tmp_path / "model.onnx"
    onnx.save(ending_with(final, scores), str(path))
    card = ModelCard.model_validate({"task": "classification", "input": {"size": SHAPE, "color": "GRAY"},
                                     "outputs": {"logits": "p"}})
    handle, _ = open_handle(card, path, partial(open_session, threads=1), lambda _: None)
    inputs = np.zeros((1, 1, *SHAPE), np.float32)
    stored = Table({"logits": handle.probabilities(handle.predict(inputs)).astype(np.float32)})
    samples = replace(batch([show((0, 0, 16, 10))], inputs=inputs, predict=handle.predict, model=handle),
                      predictions=stored)
    found = values(samples, "saliency-metric", convention=convention)[".box"]
    handle.close()
    assert found == pytest.approx(math.log(0.5) - math.log(expected), rel=1e-5)


def ending_with(final, scores):
    """Whatever the image, the same scores, and the operator behind them."""
    nodes = [helper.make_node("GlobalAveragePool", ["image"], ["a"]), helper.make_node("Mul", ["a", "zero"], ["b"]),
             helper.make_node("Add", ["b", "given"], ["c"]), helper.make_node("Flatten", ["c"], ["logits"]),
             helper.make_node(final, ["logits"], ["p"])]
    graph = helper.make_graph(
        nodes, "constant", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, *SHAPE])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.zeros((), np.float32), "zero"),
         numpy_helper.from_array(scores.reshape(1, 2, 1, 1), "given")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_hopeless_probabilities_score_no_worse_than_the_worst(batch, values):
    samples = batch([show((0, 0, 16, 19))], inputs=np.ones((1, 1, *SHAPE), np.float32),
                    predict=lambda inputs: np.array([[0.0, -1e4]], np.float32))
    found = values(samples, "saliency-metric")[".box"]
    assert found == pytest.approx(math.log(0.95) + WORST)
    assert found <= WORST


def test_no_annotation_is_needed(batch, values):
    samples = batch([show((0, 0, 4, 4))], inputs=np.ones((1, 1, *SHAPE), np.float32), predict=Network("NCHW"))
    found = values(samples, "saliency-metric", region="box")
    assert set(found) == {".box", ".box.left-out"}
    assert found[".box"] is not None
