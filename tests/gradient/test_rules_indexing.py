"""Operators that take elements by position, and those that put them there; padding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.onnx.gradient import Fed, GradientError, build

DIMS = st.sampled_from(["known", "batch", "unknown"])
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def normal(shape, seed=0):
    return np.random.default_rng([seed, 1]).normal(size=shape)  # not what `check_vjp` draws


@settings(deadline=None, max_examples=30)
@given(shape=SHAPES, dims=DIMS, data=st.data(), count=st.integers(1, 3))
def test_concat(op_model, check_vjp, shape, dims, data, count):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    inputs = {}
    for index in range(count):
        size = list(shape)
        size[axis] = data.draw(st.integers(1, 3))
        inputs[f"x{index}"] = normal(size, index)
    check_vjp(op_model("Concat", inputs, dims=dims, axis=axis), inputs)


@pytest.mark.parametrize("dims", ["known", "batch", "unknown"])
@pytest.mark.parametrize("how", [{"split": np.array([1, 4, 2])}, {}])
@pytest.mark.parametrize("used", ["y", "z"])
def test_split(op_model, check_vjp, dims, how, used):
    """Only one of three outputs is differentiated by: the others count as zero."""
    x = {"x": normal((2, 7))}
    attributes = {"axis": 1} if how else {"axis": 1, "num_outputs": 3}
    model = op_model("Split", x, constants=how, dims=dims, outputs=["w", "y", "z"], **attributes)
    check_vjp(model, x, output=used)


@settings(deadline=None, max_examples=80)
@given(shape=SHAPES, dims=DIMS, data=st.data(), computed=st.booleans())
def test_slice(op_model, check_vjp, shape, dims, data, computed):
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    steps = [data.draw(st.sampled_from([1, 1, 2, -1])) for _ in axes]
    starts = [data.draw(st.integers(-5, 5)) for _ in axes]
    ends = [data.draw(st.sampled_from([-3, -1, 1, 2, 4, 2**40])) for _ in axes]
    x = normal(shape)
    taken = x[tuple(slice(None) if axis not in axes else _slice(starts, ends, steps, axes.index(axis))
                    for axis in range(len(shape)))]
    if not taken.size:
        return
    parameters = {"starts": np.array(starts), "ends": np.array(ends), "axes": np.array(axes), "steps": np.array(steps)}
    if computed:
        inputs = {"x": x, **parameters}
        check_vjp(op_model("Slice", inputs, dims=dims), inputs, wrt=["x"])
    else:
        check_vjp(op_model("Slice", {"x": x}, constants=parameters, dims=dims), {"x": x})


def _slice(starts, ends, steps, index):
    return slice(starts[index], ends[index], steps[index])


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, dims=DIMS, data=st.data(), computed=st.booleans(),
       many=st.sampled_from([(), (1,), (1, 1), (5,), (2, 3)]))
def test_gather(op_model, check_vjp, shape, dims, data, computed, many):
    """Repeated and negative indices; a scalar index drops the axis."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    indices = np.random.default_rng(len(many)).integers(-shape[axis], shape[axis], many)
    x = {"x": normal(shape)}
    if computed:
        model = op_model("Gather", {**x, "indices": indices}, dims=dims, axis=axis)
        check_vjp(model, {**x, "indices": indices}, wrt=["x"])
    else:
        check_vjp(op_model("Gather", x, constants={"indices": indices}, dims=dims, axis=axis), x)


@pytest.mark.parametrize("dims", ["known", "unknown"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_elements(op_model, check_vjp, dims, axis):
    shape = [3, 4, 2]
    x = {"x": normal(shape)}
    shape[axis] = 5  # onnx's evaluator wants the other axes as they are
    indices = np.random.default_rng(0).integers(0, 2, shape)
    check_vjp(op_model("GatherElements", x, constants={"indices": indices}, dims=dims, axis=axis), x)


@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_gather_nd(op_model, check_vjp, dims):
    x = {"x": normal((3, 4, 2))}
    indices = np.array([[0, 1], [2, 3], [0, 1]])
    check_vjp(op_model("GatherND", x, constants={"indices": indices}, dims=dims), x)


def test_gather_nd_with_batch_dims_is_refused(op_model, check_vjp):
    x = {"x": normal((2, 4, 2))}
    with pytest.raises(GradientError, match="batch_dims"):
        check_vjp(op_model("GatherND", x, constants={"indices": np.array([[0], [1]])}, batch_dims=1), x)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_scatter_elements(op_model, check_vjp, reduction):
    inputs = {"x": normal((2, 4)), "updates": normal((2, 2), 1)}
    model = op_model("ScatterElements", inputs, constants={"indices": np.array([[0, 3], [1, 2]])},
                     order=["x", "indices", "updates"], axis=1, reduction=reduction)
    check_vjp(model, inputs)


@pytest.mark.parametrize("reduction", ["none", "add"])
def test_scatter_nd(op_model, check_vjp, reduction):
    inputs = {"x": normal((3, 4)), "updates": normal((2, 4), 1)}
    model = op_model("ScatterND", inputs, constants={"indices": np.array([[2], [0]])},
                     order=["x", "indices", "updates"], reduction=reduction)
    check_vjp(model, inputs)


def test_scatter_by_maximum_is_refused(op_model):
    inputs = {"x": normal((2, 4)), "updates": normal((2, 2), 1)}
    model = op_model("ScatterElements", inputs, constants={"indices": np.array([[0, 3], [1, 2]])},
                     order=["x", "indices", "updates"], axis=1, reduction="max")
    with pytest.raises(GradientError, match='reduction = "max"'):
        build(model, output="y", wrt="x", cotangent=Fed())


@pytest.mark.parametrize("axis", [0, -1])
def test_top_k(op_model, check_vjp, axis):
    x = {"x": normal((4, 5))}
    model = op_model("TopK", x, constants={"k": np.array([2])}, outputs=["y", "indices"], axis=axis)
    model.graph.output.pop()
    check_vjp(model, x)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), dims=DIMS, mode=st.sampled_from(["constant", "reflect", "edge", "wrap"]),
       some_axes=st.booleans(), computed=st.booleans())
def test_pad(op_model, check_vjp, data, dims, mode, some_axes, computed):
    x = normal((2, 3, 4))
    axes = data.draw(st.lists(st.integers(0, 2), unique=True, min_size=1)) if some_axes else [0, 1, 2]
    most = [min(x.shape[axis] - 1, 2) if mode in ("reflect", "wrap") else 2 for axis in axes]
    pads = np.array([data.draw(st.integers(0, each)) for each in most + most])
    order, parameters = ["x", "pads"], {"pads": pads}
    if some_axes:
        order, parameters = ["x", "pads", "", "axes"], {"pads": pads, "axes": np.array(axes)}
    if computed:
        inputs = {"x": x, **parameters}
        check_vjp(op_model("Pad", inputs, order=order, dims=dims, mode=mode), inputs, wrt=["x"])
    else:
        check_vjp(op_model("Pad", {"x": x}, constants=parameters, order=order, dims=dims, mode=mode), {"x": x})
