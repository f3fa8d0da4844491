"""Suppression in the graph and on the host against plain loops, ties included."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from harness.api import InputSpec, ModelCard, SsdDecoder, decode_ssd
from harness.errors import ModelFileError
from harness.onnx.metadata import write_card
from harness.onnx.runner import ModelRunner
from harness.onnx.session import open_session
from harness_detection.nms import LOG_ODDS, RAW_BOXES, Suppression

ANCHORS, CLASSES, SIZE = 60, 3, (64, 64)
LEVELS = [40, 15, 5]


def decoder(**changes):
    return SsdDecoder(**{"kind": "ssd", "boxes": RAW_BOXES, "scores": LOG_ODDS, "activation": "sigmoid",
                         "levels": LEVELS, "score_threshold": 0.3, "iou_threshold": 0.45, "max_detections": 20,
                         **changes})


def raw(images, seed=0):
    """Boxes on a coarse grid and scores in few steps, so that equal scores and equal IoUs are common."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 12, (images, ANCHORS, 2)) * 4
    boxes = np.concatenate([low, low + rng.integers(1, 6, (images, ANCHORS, 2)) * 4], axis=2).astype(np.float32)
    return {RAW_BOXES: boxes, LOG_ODDS: rng.choice([-3, -1, 0, 1, 2, 20, 40], (images, ANCHORS, CLASSES)).astype("f4")}


def plain(outputs, settings):
    """(image, class, anchor) by loops over Python numbers, written from the definition alone."""
    kept = []
    for image, (boxes, ranks) in enumerate(zip(outputs[RAW_BOXES].tolist(), outputs[LOG_ODDS].tolist(), strict=True)):
        for label in range(CLASSES):
            odds = settings.score_threshold / (1 - settings.score_threshold)
            left = [a for a in range(ANCHORS) if np.exp(ranks[a][label]) > odds]
            left.sort(key=lambda a: (-ranks[a][label], a))
            own = []
            while left and len(own) < settings.max_detections:
                best = left.pop(0)
                own.append((image, label, best))
                left = [a for a in left if iou(boxes[best], boxes[a]) <= settings.iou_threshold]
            kept += own
    return kept


def iou(a, b):
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def graph(settings, batch="batch"):
    """A graph whose outputs are its inputs, and the suppression behind it."""
    shapes = {RAW_BOXES: [batch, ANCHORS, 4], LOG_ODDS: [batch, ANCHORS, CLASSES]}
    nodes = [helper.make_node("Identity", [f"{name}.in"], [name]) for name in shapes]
    made = helper.make_graph(nodes, "raw", *([helper.make_tensor_value_info(name + end, TensorProto.FLOAT, shape)
                                              for name, shape in shapes.items()] for end in (".in", "")))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    Suppression(settings, SIZE).append(model)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("nms") / "nms.onnx"
    onnx.save(graph(decoder()), str(path))
    return open_session(path)


@pytest.mark.parametrize("batch", [1, 3, 8, 200])
def test_graph_equals_plain_loops(session, batch):
    outputs = raw(200)
    expected = plain(outputs, decoder())
    found = []
    for start in range(0, 200, batch):
        part = {f"{name}.in": values[start : start + batch] for name, values in outputs.items()}
        result = session.run(part)
        rows = [row for row in expected if start <= row[0] < start + batch]
        assert list(zip(result["image"] + start, result["labels"], strict=True)) == [row[:2] for row in rows]
        np.testing.assert_array_equal(result["boxes"], [outputs[RAW_BOXES][row[0], row[2]] for row in rows])
        np.testing.assert_array_equal(result["level"], np.repeat([0, 1, 2], LEVELS)[[row[2] for row in rows]])
        ranks = np.array([outputs[LOG_ODDS][image, anchor, label] for image, label, anchor in rows], np.float64)
        np.testing.assert_allclose(result["scores"], 1 / (1 + np.exp(-ranks)), rtol=1e-6)
        found += rows
    assert found == expected
    assert len(expected) > 2000


def test_host_equals_graph(session):
    outputs = raw(40, seed=1)
    in_graph = session.run({f"{name}.in": values for name, values in outputs.items()})
    on_host = Suppression(decoder(), SIZE).reference(outputs)
    assert set(on_host) == set(in_graph)
    for name, values in on_host.items():
        np.testing.assert_allclose(values, in_graph[name], rtol=1e-6, err_msg=name)


def test_nothing_found(session):
    outputs = {RAW_BOXES: raw(3)[RAW_BOXES], LOG_ODDS: np.full((3, ANCHORS, CLASSES), -5, np.float32)}
    result = session.run({f"{name}.in": values for name, values in outputs.items()})
    assert {name: values.shape for name, values in result.items()} == {
        "boxes": (0, 4), "scores": (0,), "labels": (0,), "image": (0,), "level": (0,)}
    assert decode_ssd(decoder(), outputs, SIZE)["boxes"].shape == (0, 4)


def test_softmax_background_and_relative_boxes():
    logits = np.log(np.array([[[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]], np.float32))
    boxes = np.array([[[0, 0, 0.5, 0.5], [0.5, 0.25, 1, 1]]], np.float32)
    settings = SsdDecoder(kind="ssd", relative=True, background=0, activation="softmax", score_threshold=0.5)
    found = decode_ssd(settings, {"boxes": boxes, "scores": logits}, (40, 80))
    np.testing.assert_allclose(found["boxes"], [[40, 10, 80, 40]])
    np.testing.assert_allclose(found["scores"], [0.8], rtol=1e-6)
    assert (found["labels"].tolist(), found["image"].tolist(), "level" in found) == ([1], [0], False)


def ssd_file(folder, **changes):
    """A fixed batch of one: both outputs are constants of the input's mean."""
    nodes = [helper.make_node("Constant", [], ["axes"], value_ints=[1, 2, 3]),
             helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
             helper.make_node("Constant", [], ["shape"], value_ints=[1, 1, 1]),
             helper.make_node("Reshape", ["mean", "shape"], ["m"]),
             helper.make_node("Concat", ["m", "m", "m"], ["scores"], axis=2),
             helper.make_node("Constant", [], ["unit"], value=helper.make_tensor("u", 1, [1, 1, 4], [1, 2, 3, 4])),
             helper.make_node("Mul", ["unit", "m"], ["boxes"])]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
             (("image", [1, 3, 8, 8]), ("boxes", [1, 1, 4]), ("scores", [1, 1, 3]))]
    model = helper.make_model(helper.make_graph(nodes, "ssd", infos[:1], infos[1:]),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = ModelCard(task="detection", input=InputSpec(size=(8, 8)),
                     decoder=SsdDecoder(**{"kind": "ssd", "score_threshold": 0.25, **changes}))
    write_card(model, card)
    path = folder / "ssd.onnx"
    onnx.save(model, str(path))
    return path, card


def test_a_fixed_batch_is_decoded_piece_by_piece(tmp_path):
    path, card = ssd_file(tmp_path, background=0)
    images = np.stack([np.full((3, 8, 8), value, np.float32) for value in (0.5, 0.1, 0.75)])
    found = ModelRunner(open_session(path), card, path).predict(images)
    assert found["image"].tolist() == [0, 0, 2, 2]
    assert found["labels"].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(found["boxes"][:, 3], [2, 2, 3, 3])


@pytest.mark.parametrize(("changes", "message"), [
    ({"boxes": "box"}, r"decoder\.boxes = 'box' is not an output of the graph; did you mean \"boxes\""),
    ({"background": 3}, r"have no class 3; correct `decoder\.background`"),
    ({"levels": [2, 5]}, r"`decoder\.levels` add up to 7 anchors"),
    ({"boxes": "scores"}, r"are not \(N, A, 4\) and \(N, A, C\)"),
])
def test_wrong_decoders_are_named(tmp_path, changes, message):
    path, card = ssd_file(tmp_path, **changes)
    with pytest.raises(ModelFileError, match=message):
        ModelRunner(open_session(path), card, path).predict(np.zeros((1, 3, 8, 8), np.float32))
