"""What must hold between methods, whatever the network."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pooled_cnn import LAYERS, SIZE, constant, pooled_cnn, value_of

from harness_saliency.paths import quadrature

RANDOM = np.random.default_rng(5)

def images(count=3):
    return RANDOM.normal(size=(count, 3, *SIZE)).astype(np.float32)


def scores(model, inputs, classes):
    return value_of(model, "logits", inputs)[np.arange(len(inputs)), classes]


def assert_same(one, other, bound=1e-5):
    assert np.abs(other).max() > 0
    assert np.abs(one - other).max() <= bound * np.abs(other).max()


CLASSES = np.array([2, 0, 3])


@pytest.fixture
def maps(explained, card_of):
    def make(method, model, inputs, layer=None, **params):
        return explained(method, model, card_of(SIZE, layer), **params).maps(inputs, CLASSES[: len(inputs)])

    return make


def test_a_flat_gradient_makes_three_methods_one(maps):
    """Before global average pooling all pixels of a channel have the same gradient."""
    model, inputs = pooled_cnn(), images()
    grad_cam = maps("grad-cam", model, inputs)
    assert_same(maps("hires-cam", model, inputs), grad_cam)
    assert_same(maps("xgrad-cam", model, inputs), grad_cam)
    earlier = maps("grad-cam", model, inputs, "one")
    for method in ("hires-cam", "xgrad-cam"):
        assert np.abs(maps(method, model, inputs, "one") - earlier).max() > 0.05 * earlier.max()


@pytest.mark.parametrize("head", ["Gemm", "plain Gemm", "MatMul", "Conv", "Conv before"])
def test_rectified_cam_is_the_number_of_pixels_times_grad_cam(maps, head):
    model, inputs = pooled_cnn(head), images()
    height, width = 4, 3  # of the layer: 13 x 10 halved twice
    layer = "g" if head == "Conv before" else "two"
    assert_same(maps("cam", model, inputs, sign="relu"), height * width * maps("grad-cam", model, inputs, layer))


def test_the_mean_of_cam_and_the_bias_is_the_score(maps):
    """Nearest-neighbor upsampling by whole factors keeps the mean."""
    model, inputs = pooled_cnn(), images()[:, :, :12, :9]  # the layer has 3 x 3 pixels
    for dim, side in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], (12, 9), strict=True):
        dim.dim_value = side
    found = maps("cam", model, inputs, upsampling="nearest").mean((1, 2)) + constant(model, "b")[CLASSES]
    np.testing.assert_allclose(found, scores(model, inputs, CLASSES), rtol=1e-4)


def test_layer_cam_is_its_formula(maps):
    """With a flat gradient w / (h w): relu(sum_c relu(w_c) A_c) / (h w)."""
    model, inputs = pooled_cnn(), images()
    layer = value_of(model, "two", inputs).astype(np.float64)
    expected = np.einsum("nc,nchw->nhw", np.maximum(constant(model, "m")[CLASSES], 0), layer) / layer[0, 0].size
    rows, columns = ((np.arange(side) + 0.5) * small / side for side, small in zip(SIZE, layer.shape[2:], strict=True))
    nearest = expected[:, rows.astype(int)][:, :, columns.astype(int)]
    assert_same(maps("layer-cam", model, inputs, upsampling="nearest"), nearest)


def test_linear_upsampling_samples_between_pixel_centers(maps):
    model, inputs = pooled_cnn(), images(1)
    small = maps("cam", model, inputs, upsampling="nearest")[0]
    rows = np.minimum(np.maximum((np.arange(13) + 0.5) * 4 / 13 - 0.5, 0), 3)
    columns = np.minimum(np.maximum((np.arange(10) + 0.5) * 3 / 10 - 0.5, 0), 2)
    grid = small[np.ix_([1, 4, 7, 11], [1, 4, 8])]  # one pixel of each cell
    low, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    high, right = np.minimum(low + 1, 3), np.minimum(left + 1, 2)
    down, across = (rows - low)[:, None], columns - left
    expected = ((1 - down) * ((1 - across) * grid[np.ix_(low, left)] + across * grid[np.ix_(low, right)])
                + down * ((1 - across) * grid[np.ix_(high, left)] + across * grid[np.ix_(high, right)]))
    assert_same(maps("cam", model, inputs)[0], expected)


@pytest.mark.parametrize("rule", ["gauss-legendre", "trapezoid", "middle", "left", "right"])
def test_integrated_gradients_are_complete_with_many_steps(maps, rule):
    model, inputs = pooled_cnn(), images()
    change = scores(model, inputs, CLASSES) - scores(model, np.zeros_like(inputs), CLASSES)
    errors = [np.abs(maps("integrated-gradients", model, inputs, steps=steps, rule=rule).sum((1, 2)) - change).max()
              for steps in (4, 256)]
    assert errors[1] < 0.01 * np.abs(change).max()
    assert errors[1] < errors[0] / 8


def test_integrated_gradients_from_black(explained, card_of):
    """Black is -1 where pixels 0..255 map to [-1, 1]."""
    model, inputs = pooled_cnn(), images()
    card = card_of(SIZE, range=[-1, 1])
    found = explained("integrated-gradients", model, card, steps=256, baseline="black").maps(inputs, CLASSES)
    change = scores(model, inputs, CLASSES) - scores(model, np.full_like(inputs, -1), CLASSES)
    np.testing.assert_allclose(found.sum((1, 2)), change, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(("rule", "degree"), [("gauss-legendre", 9), ("trapezoid", 1), ("middle", 1), ("left", 0),
                                              ("right", 0)])
def test_quadrature_is_exact_for_polynomials_of_its_degree(rule, degree):
    places, weights = quadrature(rule, 5)
    assert len(places) == len(weights) == 5
    for power in range(degree + 2):
        exact = np.isclose((weights * places**power).sum(), 1 / (power + 1))
        assert exact == (power <= degree), power


def test_input_times_gradient_adds_up_to_the_score_of_a_homogeneous_pooled_cnn(maps):
    """Euler: without biases, f(x) is the sum of x df/dx."""
    model, inputs = pooled_cnn("Conv before", bias=0), images()
    np.testing.assert_allclose(maps("input-x-gradient", model, inputs).sum((1, 2)), scores(model, inputs, CLASSES),
                               rtol=1e-4)


def test_channel_reductions_and_signs_of_a_gradient(maps):
    model, inputs = pooled_cnn(), images()
    total = maps("backprop", model, inputs, channels="sum")
    largest, mean = (maps("backprop", model, inputs, channels=how) for how in ("max-abs", "mean-abs"))
    assert (total < 0).any()
    assert (np.abs(total) <= 3 * mean + 1e-6).all()
    assert (mean <= largest + 1e-6).all()
    assert (largest <= 3 * mean + 1e-6).all()
    np.testing.assert_allclose(maps("backprop", model, inputs, channels="sum", sign="relu"), np.maximum(total, 0))
    np.testing.assert_allclose(maps("backprop", model, inputs, channels="sum", sign="abs"), np.abs(total))


def test_smoothgrad_without_noise_is_the_gradient_and_has_no_variance(maps):
    model, inputs = pooled_cnn(), images()
    gradient = maps("backprop", model, inputs, channels="sum")
    assert_same(maps("smoothgrad", model, inputs, channels="sum", sigma=1e-9, samples=3), gradient)
    assert np.abs(maps("smoothgrad", model, inputs, variant="variance", sigma=1e-9, samples=3)).max() < 1e-10


def test_noise_belongs_to_the_seed_of_a_sample(explained, card_of):
    model, inputs = pooled_cnn(), images()
    smooth = explained("smoothgrad", model, card_of(SIZE), samples=2, sigma=0.5)
    first = smooth.maps(inputs, CLASSES, [10, 11, 12])
    again = smooth.maps(inputs[1:2], CLASSES[1:2], [11])
    np.testing.assert_allclose(again[0], first[1], rtol=1e-5, atol=1e-6)
    assert np.abs(smooth.maps(inputs[1:2], CLASSES[1:2], [12])[0] - first[1]).max() > 1e-3


def test_eigen_cam_is_the_first_singular_vector_whichever_matrix_is_smaller(maps):
    model, inputs = pooled_cnn(), images()
    for name in LAYERS:
        layer = value_of(model, name, inputs)
        found = maps("eigen-cam", model, inputs, name, upsampling="nearest", squarings=14)
        for one, channels in zip(found, layer.astype(np.float64), strict=True):
            left, singular, _ = np.linalg.svd(channels.reshape(len(channels), -1).T)
            np.testing.assert_allclose(np.abs(one).max(), np.abs(left[:, 0]).max() * singular[0], rtol=1e-4)
            assert one.max() == np.abs(one).max()


def test_a_layer_of_zeros_gives_maps_of_zeros(maps):
    model, inputs = pooled_cnn(bias=0), images()
    weights = next(each for each in model.graph.initializer if each.name == "w2")
    weights.CopyFrom(numpy_helper.from_array(np.zeros(list(weights.dims), np.float32), "w2"))
    for method in ("grad-cam", "grad-cam++", "xgrad-cam", "hires-cam", "layer-cam", "eigen-cam", "cam",
                   "guided-grad-cam"):
        assert not maps(method, model, inputs).any(), method


def test_a_graph_of_one_image_at_a_time(maps):
    model = pooled_cnn()
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inputs = images(1)
    for method in ("integrated-gradients", "smoothgrad", "grad-cam", "eigen-cam", "cam", "guided-backprop"):
        np.testing.assert_allclose(maps(method, fixed, inputs), maps(method, model, inputs), rtol=1e-5, atol=1e-6)


def test_channels_last(maps, explained, card_of):
    model, inputs = pooled_cnn(), images()
    last = onnx.ModelProto()
    last.CopyFrom(model)
    image = last.graph.input[0]
    image.CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", *SIZE, 3]))
    last.graph.node.insert(0, helper.make_node("Transpose", ["pixels"], ["image"], perm=[0, 3, 1, 2]))
    for method, params in (("backprop", {}), ("grad-cam", {}), ("integrated-gradients", {"baseline": "white"}),
                           ("smoothgrad", {"sigma": 1e-9}), ("guided-grad-cam", {})):
        made = explained(method, last, card_of(SIZE, layout="NHWC"), **params)
        expected = maps(method, model, inputs, **params)
        found = made.maps(np.ascontiguousarray(inputs.transpose(0, 2, 3, 1)), CLASSES)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_what_was_differentiated_and_replaced_is_recorded(explained, card_of):
    for method, wrt, modified in (("grad-cam", ["two"], {}), ("guided-backprop", ["image"], {"Relu": 2}),
                                  ("guided-grad-cam", ["two", "image"], {"Relu": 2})):
        graph = explained(method, pooled_cnn(), card_of(SIZE)).graph
        (entry,) = [each.value for each in graph.metadata_props if each.key == "harness.gradient"]
        assert json.loads(entry) == {"output": "scores", "wrt": wrt, "modified": modified}
    assert not explained("cam", pooled_cnn(), card_of(SIZE)).graph.metadata_props


def test_a_clip_that_guards_a_logarithm_is_no_rectifier(maps):
    """log(max(1e-7, mean(relu))): guided backpropagation passes it by its gradient, here times a positive factor."""
    model, inputs = pooled_cnn("Conv before", bias=0), images()
    plain = maps("guided-backprop", model, inputs)
    guard = numpy_helper.from_array(np.array(1e-7, np.float32), "guard")
    model.graph.initializer.append(guard)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.extend([helper.make_node("Clip", ["before", "guard"], ["clipped"]),
                             helper.make_node("Log", ["clipped"], ["logits"])])
    found = maps("guided-backprop", model, inputs)
    logits = value_of(model, "before", inputs)[np.arange(3), CLASSES]
    assert (logits > 1e-7).any()
    for one, other, logit in zip(found, plain, logits, strict=True):
        np.testing.assert_allclose(one, other / logit if logit > 1e-7 else 0 * other, rtol=1e-4, atol=1e-7)
