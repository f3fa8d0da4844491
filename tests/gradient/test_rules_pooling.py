"""Pooling: overlapping and gapped windows, padding, ceil_mode, dilations; torch is the reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

DIMS = st.sampled_from(["known", "batch", "unknown"])


@st.composite
def windows(draw, *, dilated=True, even_pads=True):
    """(input shape, attributes) of a pooling with 1 or 2 spatial axes; padding is at most half of the kernel.

    With ceil_mode onnx's shape inference may count a window that no runtime has, and a runtime then refuses the
    cotangent: it is asked where sizes are unknown.
    """
    rank = draw(st.integers(1, 2))

    def ints(low, high):
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, strides = ints(1, 3), ints(1, 4)
    dilations = ints(1, 2) if dilated else [1] * rank
    begins = [draw(st.integers(0, k // 2)) for k in kernel]
    ends = begins if even_pads else [draw(st.integers(0, k // 2)) for k in kernel]
    size = [extra + d * (k - 1) + 1 for extra, d, k in zip(ints(0, 4), dilations, kernel, strict=True)]
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": begins + ends}
    if dilated:
        attributes["dilations"] = dilations
    return (2, 3, *size), attributes


def torch_gradient(function, x, cotangent):
    tensor = torch.tensor(x, requires_grad=True)
    y = function(tensor)
    y.backward(torch.tensor(cotangent))
    return tensor.grad.numpy()


def values(shape, *, ties):
    """With ties: small integers, so that most windows have several maxima."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 3, shape).astype(np.float64) if ties else rng.normal(size=shape)


@settings(deadline=None, max_examples=80)
@given(case=windows(), dims=DIMS, ties=st.booleans(), ceil=st.booleans())
def test_max_pool(op_model, run_gradients, case, dims, ties, ceil):
    (shape, attributes), rank = case, len(case[0]) - 2
    x = values(shape, ties=ties)
    pool = (torch.nn.functional.max_pool1d, torch.nn.functional.max_pool2d)[rank - 1]

    def function(tensor):
        return pool(tensor, attributes["kernel_shape"], attributes["strides"], attributes["pads"][:rank],
                    attributes["dilations"], ceil_mode=ceil)

    cotangent = np.random.default_rng(1).normal(size=function(torch.tensor(x)).shape)
    model = op_model("MaxPool", {"x": x}, dims=dims, ceil_mode=int(ceil), **attributes)
    gradient = run_gradients(model, {"x": x}, cotangent, runtime=not ceil or dims == "unknown")["x"]
    np.testing.assert_allclose(gradient, torch_gradient(function, x, cotangent), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(case=windows(dilated=False), dims=DIMS, ceil=st.booleans(), padded=st.booleans())
def test_average_pool(op_model, run_gradients, case, dims, ceil, padded):
    (shape, attributes), rank = case, len(case[0]) - 2
    x = values(shape, ties=False)
    pool = (torch.nn.functional.avg_pool1d, torch.nn.functional.avg_pool2d)[rank - 1]

    def function(tensor):
        return pool(tensor, attributes["kernel_shape"], attributes["strides"], attributes["pads"][:rank],
                    ceil_mode=ceil, count_include_pad=padded)

    cotangent = np.random.default_rng(1).normal(size=function(torch.tensor(x)).shape)
    model = op_model("AveragePool", {"x": x}, dims=dims, ceil_mode=int(ceil), count_include_pad=int(padded),
                     **attributes)
    gradient = run_gradients(model, {"x": x}, cotangent, runtime=not ceil or dims == "unknown")["x"]
    np.testing.assert_allclose(gradient, torch_gradient(function, x, cotangent), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(case=windows(even_pads=False), dims=DIMS, padded=st.booleans())
def test_average_pool_with_uneven_padding_and_dilations(op_model, check_vjp, case, dims, padded):
    shape, attributes = case
    x = {"x": values(shape, ties=False)}
    check_vjp(op_model("AveragePool", x, dims=dims, count_include_pad=int(padded), **attributes), x)


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3]])
def test_average_pool_with_auto_pad(op_model, check_vjp, auto, strides):
    x = {"x": values((2, 3, 5, 6), ties=False)}
    check_vjp(op_model("AveragePool", x, kernel_shape=[3, 2], strides=strides, auto_pad=auto), x)


@settings(deadline=None, max_examples=40)
@given(case=windows(even_pads=False), dims=DIMS, power=st.integers(1, 3))
def test_lp_pool(op_model, check_vjp, case, dims, power):
    shape, attributes = case
    x = {"x": values(shape, ties=False)}
    x["x"] += np.sign(x["x"]) * 0.1
    check_vjp(op_model("LpPool", x, dims=dims, p=power, **attributes), x)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("dims", ["known", "batch", "unknown"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 1, 1)])
def test_global_pools(op_model, check_vjp, op, dims, shape):
    x = {"x": values(shape, ties=False)}
    check_vjp(op_model(op, x, dims=dims), x)


def test_global_max_pool_takes_the_first(op_model, run_gradients):
    x = np.array([[[[1.0, 2.0], [2.0, 0.0]]]])
    gradient = run_gradients(op_model("GlobalMaxPool", {"x": x}), {"x": x}, np.full((1, 1, 1, 1), 3.0))["x"]
    assert gradient.tolist() == [[[[0, 3], [0, 0]]]]


@pytest.mark.parametrize("op", ["LpPool", "GlobalLpPool"])
def test_an_empty_window_has_no_slope(op_model, run_gradients, op):
    x = np.zeros((1, 1, 2, 2))
    attributes = {"kernel_shape": [2, 2]} if op == "LpPool" else {}
    gradient = run_gradients(op_model(op, {"x": x}, **attributes), {"x": x}, np.ones((1, 1, 1, 1)))["x"]
    assert not gradient.any()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(5, 1, 2), (4, 2, 1), (3, 2, 1), (2, 2, 0), (3, 3, 1)])
def test_max_pool_of_networks(op_model, run_gradients, kernel, stride, pad, ties):
    """Kernels on both sides of the size up to which maxima are found by comparison."""
    x = values((2, 3, 11, 12), ties=ties)
    cotangent = np.random.default_rng(1).normal(
        size=torch.nn.functional.max_pool2d(torch.tensor(x), kernel, stride, pad).shape)
    model = op_model("MaxPool", {"x": x}, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)
    expected = torch_gradient(lambda each: torch.nn.functional.max_pool2d(each, kernel, stride, pad), x, cotangent)
    np.testing.assert_allclose(run_gradients(model, {"x": x}, cotangent)["x"], expected, rtol=1e-12, atol=1e-12)
