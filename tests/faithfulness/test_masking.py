"""Average drop, increase and gain against loops over images."""

import numpy as np
import pytest

from harness.api import Samples
from harness.testing.conformance import create
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.probabilities import probabilities, softmax

SPECS = {spec.name: spec for spec in METRICS}
MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


def value(name, samples: Samples, **params):
    metric = create(SPECS[name], **params)
    return metric.summarize(metric.measure(samples)).scalars[""]


def one_by_one(lab, change=lambda image, relevance: image * relevance):
    """Probabilities of each image and of the changed one, in NCHW."""
    samples = lab.samples
    for image, raw, target in zip(samples.inputs, samples.saliency, samples.classes, strict=True):
        relevance = np.maximum(raw.astype(np.float64), 0) / raw.max()
        yield lab.model.probability(image, target), lab.model.probability(change(image, relevance), target)


@pytest.fixture
def signed(lab):
    """Maps with negative values, which are no evidence."""
    maps = np.random.default_rng(1).normal(0.3, 1, (8, 12, 10))
    return lab(8, maps, scale=0.1)


def test_drop_increase_and_gain(signed):
    pairs = list(one_by_one(signed))
    assert value("average-drop", signed.samples).value == pytest.approx(
        np.mean([max(0, p - o) / p for p, o in pairs]), abs=1e-6)
    assert value("average-increase", signed.samples).value == np.mean([o > p for p, o in pairs])
    assert value("average-gain", signed.samples).value == pytest.approx(
        np.mean([max(0, o - p) / (1 - p) for p, o in pairs]), abs=1e-6)
    assert 0 < value("average-increase", signed.samples).value < 1


def test_drop_as_others_define_it(signed):
    pairs = list(one_by_one(signed))
    expected = {"abs": np.mean([abs(p - o) / p for p, o in pairs]), "unnormalized": np.mean([max(0, p - o) for p, o in
                                                                                            pairs])}
    for convention, number in expected.items():
        found = value("average-drop", signed.samples, convention=convention)
        assert found.value == pytest.approx(number, rel=1e-6)
        assert found.convention == convention


def test_the_lower_half_is_muted(signed):
    def top_half(image, relevance):
        ranked = sorted(range(relevance.size), key=lambda index: (-relevance.flat[index], index))
        kept = np.zeros(relevance.size)
        kept[ranked[:relevance.size // 2]] = 1
        return image * relevance * kept.reshape(relevance.shape)

    expected = np.mean([max(0, p - o) / p for p, o in one_by_one(signed, top_half)])
    assert value("average-drop", signed.samples, convention="top50").value == pytest.approx(expected, abs=1e-6)


def test_raw_pixels_are_multiplied(signed):
    def raw(image, relevance):
        pixels = image * STD[:, None, None] + MEAN[:, None, None]
        return (pixels * relevance - MEAN[:, None, None]) / STD[:, None, None]

    expected = np.mean([max(0, p - o) / p for p, o in one_by_one(signed, raw)])
    assert value("average-drop", signed.samples, convention="pixels").value == pytest.approx(expected, abs=1e-6)


def test_layouts_agree(lab):
    """The same images, channels last."""
    first = lab(6)
    last = lab(6, first.samples.saliency, layout="NHWC")
    weights = first.model.weights.reshape(3, 12, 10, 3)
    last.model.weights, last.model.bias = weights.transpose(1, 2, 0, 3).reshape(-1, 3), first.model.bias
    last.samples.inputs[:] = first.samples.inputs.transpose(0, 2, 3, 1)
    last.samples.predictions.dense("logits")[:] = first.samples.predictions.dense("logits")
    last.samples.classes[:] = first.samples.classes
    for convention in ("default", "top50", "pixels"):
        expected = value("average-drop", first.samples, convention=convention).value
        assert value("average-drop", last.samples, convention=convention).value == pytest.approx(expected, abs=1e-6)
    for name in ("insertion", "deletion", "road", "infidelity"):
        params = {"draws": 5} if name == "infidelity" else {"noise": 0} if name == "road" else {"steps": 4}
        expected = value(name, first.samples, **params).value
        assert value(name, last.samples, **params).value == pytest.approx(expected, abs=1e-6), name


def test_ties_count_where_the_convention_says_so(lab):
    """A network that always answers the same."""
    constant = lab(4)
    constant.model.weights[:] = 0
    constant.samples.predictions.dense("logits")[:] = constant.model(constant.samples.inputs)
    assert value("average-increase", constant.samples).value == 0
    assert value("average-increase", constant.samples, convention="ties").value == 1
    assert value("average-drop", constant.samples).value == 0
    assert value("average-gain", constant.samples).value == 0


def test_the_metrics_of_a_batch_share_their_passes(lab):
    """One of the images as they are, one of the images through their maps."""
    made = lab(6)
    for name in ("average-drop", "average-increase", "average-gain"):
        value(name, made.samples)
    assert made.model.calls == [6, 6]


def test_stored_predictions_are_not_taken_for_logits(lab):
    """A graph that ends with a softmax stores probabilities; the network is asked for its logits."""
    made = lab(6)
    expected = value("average-drop", made.samples).value
    made.samples.predictions.dense("logits")[:] = softmax(made.samples.predictions.dense("logits"))
    made.samples._made.clear()
    assert value("average-drop", made.samples).value == expected


def test_probabilities_at_the_ends_of_float():
    logits = np.array([[800.0, 0, 0], [-800, 0, 0], [0, 0, 0], [40, 0, 0]])
    found = probabilities(softmax(logits), np.zeros(4, np.int64))
    assert found.target.tolist()[:3] == [1, 0, pytest.approx(1 / 3)]
    assert found.rest.tolist()[:3] == [0, 1, pytest.approx(2 / 3)]
    assert found.target[3] == 1  # rounded, and yet
    assert found.rest[3] == pytest.approx(2 * np.exp(-40))


class Independent:
    """A model that ends with a sigmoid for each class."""

    @staticmethod
    def probabilities(scores):
        return 1 / (1 + np.exp(-scores.astype(np.float64)))


def test_classes_of_a_sigmoid_stand_alone(lab):
    made = lab(6, model=Independent())
    samples, pairs = made.samples, []
    for image, raw, target in zip(samples.inputs, samples.saliency, samples.classes, strict=True):
        pairs.append([Independent.probabilities(made.model(each[None]))[0, target]
                      for each in (image, image * (raw / raw.max()))])
    assert value("average-drop", samples).value == pytest.approx(np.mean([max(0, p - o) / p for p, o in pairs]))
    assert value("average-gain", samples).value == pytest.approx(np.mean([max(0, o - p) / (1 - p) for p, o in pairs]))
