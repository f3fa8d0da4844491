"""Reductions over any axes, known or computed, and softmax."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DIMS = st.sampled_from(["known", "batch", "unknown"])
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
              "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")


def away_from_zero(shape, seed, positive=False):
    """Distinct values, so that extrema are unique, with |x| > 0.3."""
    rng = np.random.default_rng([seed, 1])
    values = 0.3 + (rng.permutation(int(np.prod(shape))) + rng.uniform(0, 0.5)) / max(1, np.prod(shape))
    signs = 1 if positive else rng.choice([-1, 1], size=shape)
    return values.reshape(shape) * signs


@pytest.mark.parametrize("op", REDUCTIONS)
@settings(deadline=None, max_examples=25)
@given(data=st.data(), shape=SHAPES, dims=DIMS, keepdims=st.booleans(), noop=st.booleans(),
       given_as=st.sampled_from(["constant", "computed", "none"]), seed=st.integers(0, 99))
def test_reduction(op_model, check_vjp, op, data, shape, dims, keepdims, noop, given_as, seed):
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1))
    axes = np.array([axis - data.draw(st.sampled_from([0, rank])) for axis in axes])
    x = away_from_zero(shape, seed, positive=op == "ReduceLogSum")
    constants, inputs = ({"axes": axes}, {"x": x}) if given_as == "constant" else ({}, {"x": x})
    if given_as == "computed":
        inputs["axes"] = axes
    model = op_model(op, inputs, constants=constants, dims=dims, keepdims=int(keepdims),
                     noop_with_empty_axes=int(noop))
    check_vjp(model, inputs, wrt=["x"])


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_product_with_zeros(op_model, check_vjp, zeros):
    x = away_from_zero((3, 4), 0)
    x[0, :zeros] = 0
    check_vjp(op_model("ReduceProd", {"x": x}, constants={"axes": np.array([1])}), {"x": x})


def test_norm_of_zeros_has_no_gradient(op_model, check_vjp):
    x = np.zeros((2, 3))
    model = op_model("ReduceL2", {"x": x}, constants={"axes": np.array([1])})
    gradient = check_vjp(model, {"x": x}, directions=0)["x"]
    np.testing.assert_array_equal(gradient, 0)


def test_equal_maxima_share_the_gradient(op_model, check_vjp):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]])
    model = op_model("ReduceMax", {"x": x}, constants={"axes": np.array([1])}, keepdims=0)
    gradient = check_vjp(model, {"x": x}, directions=0)["x"]
    assert gradient[0, 0] == 0
    assert gradient[0, 1] == gradient[0, 2] != 0
    assert (gradient[1, 1:] == 0).all()


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@settings(deadline=None, max_examples=25)
@given(data=st.data(), shape=SHAPES, dims=DIMS, seed=st.integers(0, 99))
def test_softmax(op_model, check_vjp, op, data, shape, dims, seed):
    x = {"x": np.random.default_rng([seed, 1]).normal(size=shape)}
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    check_vjp(op_model(op, x, dims=dims, **({} if axis is None else {"axis": axis})), x)
