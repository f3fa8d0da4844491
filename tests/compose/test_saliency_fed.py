"""image -> classifier -> saliency -> fourth channel -> segmentation network, in one file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pooled_cnn import SIZE, pooled_cnn

from harness.api import ModelCard, ModelFileError
from harness.contracts import ModelFile
from harness.geometry import normalize, prepare
from harness.host import create
from harness.onnx.explainer import of_predicted_class
from harness.onnx.gradient import standard_rules
from harness.onnx.models import load_card
from harness.onnx.runtime import onnxruntime
from harness.onnx.saliency_fed import feed_saliency
from harness.onnx.scores import scores_graph
from harness_saliency.graph_specs import specs

torch = pytest.importorskip("torch")
SPECS = {spec.name: spec for spec in specs()}
RANDOM = np.random.default_rng(0)
MEAN, STD = [0.4, 0.5, 0.6, 0.1], [0.2, 0.25, 0.3, 0.5]


def segmenter(size=("h", "w"), channels=4, layout="NCHW"):
    """pixels (N, 4, h, w) -> logits (N, 2, h, w): one 3x3 convolution."""
    weights = np.random.default_rng(1).normal(size=(2, channels, 3, 3)).astype(np.float32)
    shape = ["batch", channels, *size] if layout == "NCHW" else ["batch", *size, channels]
    nodes = [helper.make_node("Transpose", ["pixels"], ["image"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    nodes.append(helper.make_node("Conv", ["image" if nodes else "pixels", "w1"], ["logits"], pads=[1] * 4))
    graph = helper.make_graph(nodes, "segmenter", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2, *size])],
                              [numpy_helper.from_array(weights, "w1")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def segmenter_card(size, layout="NCHW", color="RGBA"):
    count = 4 if color == "RGBA" else 3
    return ModelCard.model_validate({
        "task": "segmentation", "labels": ["ground", "object"],
        "input": {"size": size, "color": color, "mean": MEAN[:count], "std": STD[:count], "layout": layout,
                  "fit": "tile"},
        "tile": {"size": size}})


def run(model, **feeds):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime().InferenceSession(model.SerializeToString())
    return dict(zip([value.name for value in session.get_outputs()], session.run(None, feeds), strict=True))


def explainer(method, model, card, **params):
    graph, spec = scores_graph(model, card, Path("x")).model, SPECS[method]
    return of_predicted_class(create(spec, spec.params(**params)).build(graph, card, standard_rules()), graph)


def resized(images, size):
    return torch.nn.functional.interpolate(torch.from_numpy(images), size, mode="bilinear", antialias=True).numpy()


@pytest.mark.parametrize("normalization", ["max", "min-max"])
@pytest.mark.parametrize(("size", "input_"), [
    ((26, 30), {"range": [-1, 1]}), (SIZE, {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3], "color": "BGR"})])
def test_the_whole_equals_its_parts_one_after_the_other(size, input_, normalization):
    card = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE, **input_}})
    classifier, second = pooled_cnn(), segmenter(size)
    explain = explainer("backprop", classifier, card, channels="sum")
    whole = feed_saliency(explain, card, second, segmenter_card(size), normalization=normalization, keep_map=True)
    pixels = RANDOM.integers(0, 255, (3, *size, 3), dtype=np.uint8)
    found = run(whole, image=normalize(pixels, segmenter_card(size, color="RGB").input))

    smaller = resized(pixels.transpose(0, 3, 1, 2).astype(np.float32), SIZE)
    mean, std = (np.array(input_.get(name, [0.5] * 3)).reshape(3, 1, 1) for name in ("mean", "std"))
    seen = ((smaller[:, ::-1] if "color" in input_ else smaller) / 255 - mean) / std
    maps = run(explain, image=seen.astype(np.float32))["saliency"]
    np.testing.assert_allclose(found["saliency"], maps, rtol=1e-3, atol=1e-5 * np.abs(maps).max())
    channel = resized(maps[:, None], size)
    channel = np.maximum(channel, 0) if normalization == "max" else channel - channel.min((1, 2, 3), keepdims=True)
    channel /= channel.max((1, 2, 3), keepdims=True)
    four = np.concatenate([normalize(pixels, segmenter_card(size, color="RGB").input), (channel - MEAN[3]) / STD[3]], 1)
    expected = run(second, pixels=four.astype(np.float32))["logits"]
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-3, atol=1e-4)


def test_channels_last_on_either_side():
    card, size = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE}}), (20, 14)
    explain = explainer("grad-cam", pooled_cnn(), card)
    image = RANDOM.normal(size=(2, 3, *size)).astype(np.float32)
    first = feed_saliency(explain, card, segmenter(size), segmenter_card(size))
    last = feed_saliency(explain, card, segmenter(size, layout="NHWC"), segmenter_card(size, "NHWC"))
    np.testing.assert_allclose(run(last, image=np.ascontiguousarray(image.transpose(0, 2, 3, 1)))["logits"],
                               run(first, image=image)["logits"], rtol=1e-4, atol=1e-5)


def test_the_classifier_runs_once_and_the_map_follows_its_highest_score():
    card = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE}})
    whole = feed_saliency(explainer("grad-cam", pooled_cnn(), card), card, segmenter(SIZE), segmenter_card(SIZE),
                          keep_map=True)
    kinds = [node.op_type for node in whole.graph.node]
    assert kinds.count("Conv") == 2 + 1 + 1  # classifier, conversion of values, segmentation
    image = RANDOM.normal(size=(2, 3, *SIZE)).astype(np.float32)
    assert [value.name for value in whole.graph.input] == ["image"]
    seen = image * np.array(STD[:3], np.float32).reshape(3, 1, 1) + np.array(MEAN[:3], np.float32).reshape(3, 1, 1)
    logits = run(pooled_cnn(), image=seen)["logits"]
    graph = scores_graph(pooled_cnn(), card, Path("x")).model
    spec = SPECS["grad-cam"]
    given = create(spec, spec.params()).build(graph, card, standard_rules())
    np.testing.assert_allclose(run(whole, image=image)["saliency"],
                               run(given, image=seen, **{"class": logits.argmax(1)})["saliency"], rtol=1e-3, atol=1e-5)


def test_an_image_without_a_map_gives_an_empty_channel():
    """Uniform images have no positive gradients here: 0 / 0 must not become NaN."""
    card = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE}})
    classifier = pooled_cnn(bias=0)
    for each in classifier.graph.initializer:
        if each.name == "w2":
            each.CopyFrom(numpy_helper.from_array(np.zeros(list(each.dims), np.float32), "w2"))
    whole = feed_saliency(explainer("backprop", classifier, card), card, segmenter(SIZE), segmenter_card(SIZE))
    image = np.zeros((1, 3, *SIZE), np.float32)
    four = np.concatenate([image, np.full((1, 1, *SIZE), -MEAN[3] / STD[3], np.float32)], 1)
    expected = run(segmenter(SIZE), pixels=four)["logits"]
    np.testing.assert_allclose(run(whole, image=image)["logits"], expected, rtol=1e-5)


def test_its_card_takes_pictures_without_a_map_and_whole(tmp_path):
    card, size = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE}}), (26, 30)
    whole = feed_saliency(explainer("grad-cam", pooled_cnn(), card), card, segmenter(), segmenter_card(size))
    onnx.save(whole, str(tmp_path / "fed.onnx"))
    found = load_card(ModelFile(tmp_path / "fed.onnx"))
    assert (found.task, found.labels, found.input.color, found.input.fit) == ("segmentation", ["ground", "object"],
                                                                              "RGB", "stretch")
    assert (found.input.mean, found.tile) == (MEAN[:3], None)
    images, _ = prepare([RANDOM.integers(0, 255, (50, 41, 3), dtype=np.uint8)], found.input)
    assert run(whole, image=images)["logits"].shape == (1, 2, *size)


def test_networks_of_other_colors_are_refused():
    card = ModelCard.model_validate({"task": "classification", "input": {"size": SIZE}})
    explain = explainer("grad-cam", pooled_cnn(), card)
    with pytest.raises(ModelFileError, match="takes RGB images.*needs RGBA"):
        feed_saliency(explain, card, segmenter(channels=3), segmenter_card(SIZE, color="RGB"))
    four = card.model_copy(update={"input": card.input.model_copy(update={"color": "RGBA"})})
    with pytest.raises(ModelFileError, match="explained network takes RGBA"):
        feed_saliency(explain, four, segmenter(), segmenter_card(SIZE))
