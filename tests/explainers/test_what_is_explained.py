"""Real networks: the shared MobileNet, and the shipped networks of the other tasks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.api import DataError, ModelFileError, open_session
from harness.card import ModelCard
from harness.contracts import ModelFile, Samples
from harness.explaining import Explainer, generator_of, ranked_classes
from harness.handle import open_handle
from harness.onnx.models import load_card
from harness.table import Table
from harness_saliency.graph_specs import specs

EXPORTS = Path(__file__).parents[2] / "exports"
SPECS = {spec.name: spec for spec in specs()}
SHIPPED = {"heatmapnet": "model.fp32.onnx", "unet-cells": "model.fp32.onnx",
           "multiscale-detector": "model.raw.fp32.onnx"}  # of batch 1
FEW = {"integrated-gradients": {"steps": 2}, "smoothgrad": {"samples": 2}, "expected-gradients": {"samples": 2}}


def noise(count, card):
    random = np.random.default_rng(0)
    return random.normal(size=(count, card.input.channels, *card.input.size)).astype(np.float32)


@pytest.fixture(scope="module")
def handle():
    opened = {}

    def open_(name):
        if name not in opened:
            path = EXPORTS / name / SHIPPED[name]
            opened[name], _ = open_handle(load_card(ModelFile(path)), path, open_session, lambda _samples: None)
        return opened[name]

    yield open_
    for each in opened.values():
        each.close()


def explain(method, handle, images, classes, **params):
    spec = SPECS[method]
    generator = generator_of(spec, spec.params(**FEW.get(method, {}), **params))
    return generator.explain(handle, images, np.asarray(classes, np.int64), list(range(len(images))))


@pytest.mark.parametrize("method", [name for name in SPECS if name not in ("cam", "lrp")])
@pytest.mark.parametrize("name", SHIPPED)
def test_every_task_has_maps_at_its_input_size(handle, name, method):
    model = handle(name)
    images = noise(2, model.card)
    found = explain(method, model, images, model.predict(images).argmax(axis=1))
    assert found.shape == (2, *model.card.input.size)
    assert np.isfinite(found).all()
    assert found.any()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_gradient_of_a_score_predicts_its_change(handle, name):
    """To first order: where the same is added to all channels of a pixel, the sum over the channels counts."""
    model = handle(name)
    image = noise(1, model.card)
    label = int(model.predict(image)[0].argmax())
    gradient = explain("backprop", model, image, [label], channels="sum")
    score = region_score(model, image, label) if name == "unet-cells" else lambda x: model.predict(x)[0, label]
    step = 1e-3 / np.abs(gradient).max()
    change = float(score(image + step * gradient[:, None])) - float(score(image))
    np.testing.assert_allclose(change, step * (gradient.astype(np.float64) ** 2).sum(), rtol=0.1)


def region_score(model, image, label):
    """The mean logit of a class where it wins on this image: to the gradient that region is a constant."""
    session = open_session(model.path)
    logits = session.run({"image": image})["logits"]
    region = logits[0].argmax(axis=0) == label
    return lambda other: session.run({"image": other})["logits"][0, label][region].mean()


def test_class_activation_mapping_of_another_task_says_what_it_needs(handle):
    model = handle("unet-cells")
    with pytest.raises(ModelFileError, match="global average pooling"):
        explain("cam", model, noise(1, model.card), [1])


def test_flat_gradients_on_the_shared_network(mobilenet, explained, card_of):
    images = np.random.default_rng(2).uniform(-1, 1, (2, 3, 192, 192)).astype(np.float32)
    for layer in ("conv26.relu6", "conv22.relu6"):
        card = card_of([192, 192], layer)
        grad_cam, *others = (explained(method, mobilenet, card, sign="none").maps(images, [152, 286])
                             for method in ("grad-cam", "hires-cam", "xgrad-cam"))
        for other in others:
            differences = np.abs(other - grad_cam).max((1, 2)) / np.abs(grad_cam).max((1, 2))
            assert (differences < 1e-5).all() if layer == "conv26.relu6" else (differences > 0.05).all()


def test_the_default_layer_and_cam_on_the_shared_network(mobilenet, explained, card_of):
    """GlobalAveragePool, a 1x1 convolution, a Reshape; the last activation has 6 x 6 pixels."""
    images = np.random.default_rng(2).uniform(-1, 1, (2, 3, 192, 192)).astype(np.float32)
    card = card_of([192, 192])
    cam = explained("cam", mobilenet, card, sign="relu").maps(images, [152, 286])
    grad_cam = explained("grad-cam", mobilenet, card).maps(images, [152, 286])
    assert np.abs(cam - 36 * grad_cam).max() <= 1e-5 * cam.max()


def test_relevance_of_scores_that_are_quotients_is_refused(handle):
    model = handle("unet-cells")
    with pytest.raises(ModelFileError, match=r"no rule for operator 'Div', needed at node 'scores.mean'"):
        explain("lrp", model, noise(1, model.card), [1])


def test_a_class_out_of_range_is_an_error_of_the_runtime(mobilenet, explained, card_of):
    made = explained("grad-cam", mobilenet, card_of([192, 192]))
    with pytest.raises(Exception, match=r"(?i)out of (data )?bounds|indices"):
        made.maps(np.zeros((1, 3, 192, 192), np.float32), [1001])


def test_a_background_that_is_missing_or_broken_is_said(tmp_path):
    spec = SPECS["expected-gradients"]
    with pytest.raises(DataError, match=r"no images for the background"):
        generator_of(spec, spec.params(background=tmp_path))
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"torn.png: a background image can not be read"):
        generator_of(spec, spec.params(background=tmp_path))


@pytest.mark.parametrize("background", [0, 2, None])
def test_the_background_of_a_detector_is_never_the_predicted_class(background):
    decoder = None if background is None else {"kind": "ssd", "background": background}
    card = ModelCard.model_construct(decoder=decoder and SimpleNamespace(**decoder))
    scores = np.array([[5, 1, 3], [1, 2, 9], [4, 4, 4]], np.float32)
    expected = {0: [[2, 1], [2, 1], [1, 2]], 2: [[0, 1], [1, 0], [0, 1]],
                None: [[0, 2, 1], [2, 1, 0], [0, 1, 2]]}[background]
    assert ranked_classes(scores, card).tolist() == expected


def test_a_cell_explains_what_a_photograph_would_have_explained(handle):
    """Told that one of its classes is the background, which has the highest score."""
    model = handle("multiscale-detector")
    inputs = noise(4, model.card)
    scores = model.predict(inputs)
    background = int(scores[0].argmax())
    samples = Samples([f"s{index}" for index in range(4)], [], Table({}), model.card, inputs=inputs)
    explainer = Explainer.__new__(Explainer)
    explainer.cell, explainer.handle = SimpleNamespace(target="predicted"), model
    explainer.model = SimpleNamespace(card=SimpleNamespace(decoder=SimpleNamespace(background=background)))
    assert explainer._classes(samples).tolist() == np.delete(scores, background, axis=1).argmax(axis=1).tolist()
