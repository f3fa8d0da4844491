"""Layer-wise relevance propagation against its closed forms and formulas."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from pooled_cnn import SIZE, constant, pooled_cnn, value_of

from harness.api import ModelFileError

RANDOM = np.random.default_rng(5)
CLASSES = np.array([2, 0, 3])


def images(size=SIZE):
    return RANDOM.normal(size=(3, 3, *size)).astype(np.float32)


def assert_close(found, expected, bound):
    assert np.abs(expected).max() > 0
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()


@pytest.mark.parametrize("name", ["vgg", "resnet18"])
def test_of_a_relu_network_the_epsilon_rule_is_input_times_gradient(zoo, explained, card_of, name):
    """Ancona et al. 2018, proposition 1, as epsilon goes to 0; shortcuts, maximum pooling, normalization included."""
    model, card, inputs = zoo.export(name, "torchscript"), card_of([64, 64], output="scores"), images((64, 64))
    found = explained("lrp", model, card, rule="epsilon", epsilon=1e-20).maps(inputs, CLASSES)
    assert_close(found, explained("input-x-gradient", model, card).maps(inputs, CLASSES), 1e-3)


@pytest.mark.parametrize("rule", ["epsilon", "epsilon-plus"])
@pytest.mark.parametrize(("operator", "factor"), [("Mul", 2.0), ("Div", 0.5), ("Mul", -1.0)])
def test_a_constant_factor_passes_relevance_on(explained, card_of, rule, operator, factor):
    """Twice the score, or minus it, has as much more relevance, however it came about."""
    model, inputs = pooled_cnn(), images()
    scaled = pooled_cnn()
    scaled.graph.node[-1].output[0] = "before"
    scaled.graph.node.append(helper.make_node(operator, ["before", "factor"], ["logits"]))
    scaled.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    times = 1 / factor if operator == "Div" else factor
    expected = explained("lrp", model, card_of(SIZE), rule=rule).maps(inputs, CLASSES)
    assert_close(explained("lrp", scaled, card_of(SIZE), rule=rule).maps(inputs, CLASSES), times * expected, 1e-4)


def test_a_constant_divided_by_an_activation_is_refused(explained, card_of):
    model = pooled_cnn()
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Div", ["factor", "before"], ["logits"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "factor"))
    with pytest.raises(ModelFileError, match="no rule for operator 'Div'"):
        explained("lrp", model, card_of(SIZE))


@pytest.mark.parametrize("rule", ["epsilon", "epsilon-plus"])
def test_relevance_is_conserved_without_biases(explained, card_of, rule):
    model, inputs = pooled_cnn(bias=0), images()
    head = next(each for each in model.graph.initializer if each.name == "b")
    head.CopyFrom(numpy_helper.from_array(np.zeros(4, np.float32), "b"))
    found = explained("lrp", model, card_of(SIZE), rule=rule).maps(inputs, CLASSES)
    scores = value_of(model, "logits", inputs)[np.arange(3), CLASSES]
    np.testing.assert_allclose(found.sum((1, 2)), scores, rtol=1e-3)


def test_the_plus_rule_of_convolutions_is_its_formula(explained, card_of):
    """One convolution of one image pixel by pixel in float64; the image has values of both signs."""
    model = pooled_cnn(bias=0.3)
    del model.graph.node[2:]
    model.graph.node.extend([helper.make_node("GlobalAveragePool", ["one"], ["p"]),
                             helper.make_node("Flatten", ["p"], ["logits"])])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    onnx.checker.check_model(model, full_check=True)
    image = images()[:1]
    weights, layer = constant(model, "w1").astype(np.float64), value_of(model, "one", image)[0].astype(np.float64)
    relevance = layer[2] / layer[2].size  # of the mean, by the epsilon rule
    padded = np.pad(image[0].astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    found = np.zeros_like(padded)
    for row, column in np.ndindex(*relevance.shape):
        part = np.s_[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        positive = np.maximum(padded[part] * weights[2], 0)
        found[part] += positive / (positive.sum() + 1e-6) * relevance[row, column]
    assert_close(explained("lrp", model, card_of(SIZE)).maps(image, [2])[0], found[:, 1:-1, 1:-1].sum(0), 1e-5)


def test_products_of_activations_are_refused(zoo, explained, card_of):
    with pytest.raises(ModelFileError, match=r"no rule for operator 'Mul'.*products of activations"):
        explained("lrp", zoo.export("mobilenet", "torchscript"), card_of([64, 64], output="scores"))
