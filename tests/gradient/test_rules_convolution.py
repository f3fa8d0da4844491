"""Convolutions: strides, groups, dilations, uneven padding, auto_pad, sizes that strides do not reach the end of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.onnx.gradient import Fed, build


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dims=st.sampled_from(["known", "batch", "unknown"]), rank=st.integers(1, 2),
       auto=st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]), seed=st.integers(0, 99))
def test_conv(op_model, check_vjp, data, dims, rank, auto, seed):
    def ints(low, high):
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 3))
    few, many = data.draw(st.integers(1, 2)), group * data.draw(st.integers(1, 2))
    kernel, strides, dilations = ints(1, 3), ints(1, 3), ints(1, 2)
    if auto.startswith("SAME") and dims == "unknown":
        strides = [1] * rank
    size = [extra + d * (k - 1) + 1 for extra, d, k in zip(ints(0, 4), dilations, kernel, strict=True)]
    x = {"x": rng.normal(size=(2, group * few, *size))}
    constants = {"w": rng.normal(size=(many, few, *kernel))} | data.draw(st.sampled_from(
        [{}, {"b": rng.normal(size=many)}]))
    attributes = {"auto_pad": auto} if auto != "NOTSET" else {"pads": ints(0, 3) + ints(0, 3)}
    runs = not auto.startswith("SAME") or set(dilations) == {1}  # onnxruntime refuses both together
    check_vjp(op_model("Conv", x, constants=constants, dims=dims, group=group, strides=strides, dilations=dilations,
                       **attributes), x, runtime=runs)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dims=st.sampled_from(["known", "batch", "unknown"]), rank=st.integers(1, 2),
       seed=st.integers(0, 99))
def test_conv_transpose(op_model, check_vjp, data, dims, rank, seed):
    def ints(low, high):
        return data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 3))
    few, many = data.draw(st.integers(1, 2)), group * data.draw(st.integers(1, 2))
    kernel, strides, dilations = ints(1, 3), ints(1, 3), ints(1, 2)
    reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
    pads = [data.draw(st.integers(0, r // 2)) for r in [*reach, *reach]]
    x = {"x": rng.normal(size=(2, many, *ints(1, 4)))}
    constants = {"w": rng.normal(size=(many, few, *kernel))}
    more = [data.draw(st.integers(0, s - 1)) for s in strides]
    check_vjp(op_model("ConvTranspose", x, constants=constants, dims=dims, group=group, strides=strides,
                       dilations=dilations, pads=pads, output_padding=more), x)


@pytest.mark.parametrize("attributes", [
    {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}, {"output_shape": [8, 13]},
    {"output_shape": [7, 12], "auto_pad": "SAME_UPPER"}, {"output_padding": [1, 2], "pads": [1, 0, 0, 2]},
], ids=str)
@pytest.mark.parametrize("kernel", [(3, 3), (4, 5), (2, 3)])
def test_conv_transpose_by_its_adjoint(op_model, run_float32, attributes, kernel):
    """<A x, c> = <x, A' c>, both computed by onnxruntime: how padding is shared out is its own reading."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 2, *kernel)).astype(np.float32)
    model = op_model("ConvTranspose", {"x": x.astype(np.float32)}, constants={"w": w}, strides=[2, 3], **attributes)
    (y,) = run_float32(model, {"x": x}, ["y"])
    cotangent = rng.normal(size=y.shape)
    graph = build(model, output="y", wrt="x", cotangent=Fed("cotangent"))
    (gradient,) = run_float32(graph, {"x": x, "cotangent": cotangent}, ["x.gradient"])
    assert np.sum(gradient * x) == pytest.approx(np.sum(y * cotangent), rel=1e-4)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("strides", [[1, 1, 1], [1, 2, 3]])
def test_three_axes(op_model, check_vjp, op, strides):
    rng = np.random.default_rng(0)
    x, weights = {"x": rng.normal(size=(1, 2, 3, 5, 4))}, {"w": rng.normal(size=(2, 2, 2, 3, 1))}
    check_vjp(op_model(op, x, constants=weights, strides=strides, pads=[0, 1, 0, 1, 1, 0]), x)
