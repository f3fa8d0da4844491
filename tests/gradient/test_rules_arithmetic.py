"""Arithmetic with broadcasting, and functions of one input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

DIMS = st.sampled_from(["known", "batch", "unknown"])


def random(shapes, names="abc"):
    rng = np.random.default_rng(0)
    return dict(zip(names, (rng.uniform(0.5, 2, shape) for shape in shapes), strict=False))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean"])
@settings(deadline=None, max_examples=40)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), dims=DIMS)
def test_two_inputs(op_model, check_vjp, op, shapes, dims):
    inputs = random(shapes.input_shapes)
    check_vjp(op_model(op, inputs, dims=dims), inputs)


@pytest.mark.parametrize("op", ["Min", "Max", "Sum", "Mean"])
@settings(deadline=None, max_examples=20)
@given(shapes=mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), dims=DIMS)
def test_three_inputs(op_model, check_vjp, op, shapes, dims):
    inputs = random(shapes.input_shapes)
    check_vjp(op_model(op, inputs, dims=dims), inputs)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Max"])
@pytest.mark.parametrize("constant", [(), (1,), (3, 1)])
def test_one_constant(op_model, check_vjp, op, constant):
    inputs = random([(2, 3, 4)])
    value = {"b": np.random.default_rng(1).uniform(0.5, 2, constant)}
    check_vjp(op_model(op, inputs, constants=value), inputs)
    check_vjp(op_model(op, inputs, constants=value, order=["b", "a"]), inputs)


@pytest.mark.parametrize("op", ["Min", "Max", "Sum", "Mean"])
def test_one_input(op_model, check_vjp, op):
    inputs = random([(2, 3)])
    check_vjp(op_model(op, inputs), inputs)


def test_the_same_tensor_twice(op_model, check_vjp):
    inputs = random([(2, 3)])
    gradient = check_vjp(op_model("Mul", inputs, order=["a", "a"]), inputs)
    assert gradient["a"].shape == (2, 3)


@pytest.mark.parametrize("exponent", [np.array(2.0), np.array(2), np.array([3], np.int32), np.array(0.0),
                                      np.array(-1.5)], ids=str)
def test_constant_exponents(op_model, check_vjp, exponent):
    inputs = random([(2, 3)])
    check_vjp(op_model("Pow", inputs, constants={"b": exponent}), inputs)


def test_powers_of_zero_are_finite(op_model, check_vjp):
    """As torch has it: the slope of a^0 is 0 everywhere, and that of 0^b by b is 0."""
    inputs = {"a": np.array([0.0, 0.0, 2.0]), "b": np.array([3.0, 1.0, 0.0])}
    gradient = check_vjp(op_model("Pow", {"a": inputs["a"]}, constants={"b": inputs["b"]}), {"a": inputs["a"]})
    assert np.isfinite(gradient["a"]).all()


def test_ties_share(op_model, run_gradients):
    inputs = {"a": np.array([1.0, 2.0]), "b": np.array([1.0, 3.0])}
    gradients = run_gradients(op_model("Max", inputs), inputs, np.array([1.0, 1.0]))
    assert gradients["a"].tolist() == [0.5, 0.0]
    assert gradients["b"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize("op", ["Neg", "Abs", "Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Cos", "Atan"])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_functions(op_model, check_vjp, op, dims):
    x = {"x": np.random.default_rng(0).uniform(0.3, 2, (2, 3, 4))}
    check_vjp(op_model(op, x, dims=dims), x)
    if op not in ("Log", "Sqrt"):
        check_vjp(op_model(op, {"x": -x["x"]}, dims=dims), {"x": -x["x"]})


@pytest.mark.parametrize("op", ["Tan", "Sinh", "Cosh", "Asin", "Acos", "Asinh", "Acosh", "Atanh"])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_further_functions(op_model, check_vjp, op, dims):
    reach = (1.1, 2) if op == "Acosh" else (-0.9, 0.9)
    x = {"x": np.random.default_rng(0).uniform(*reach, (2, 3, 4))}
    check_vjp(op_model(op, x, dims=dims), x)


@pytest.mark.parametrize("op", ["Floor", "Ceil", "Round", "Sign"])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_steps_have_no_slope(op_model, check_vjp, op, dims):
    x = {"x": np.array([[0.3, 1.2, -0.7]])}
    assert not check_vjp(op_model(op, x, dims=dims), x)["x"].any()
