"""Normalizations, by their input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.onnx.gradient import GradientError

DIMS = st.sampled_from(["known", "batch", "unknown"])
SPACE = st.lists(st.integers(1, 4), max_size=3)
EPSILON = st.sampled_from([{}, {"epsilon": 0.1}])


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@settings(deadline=None, max_examples=25)
@given(space=SPACE, dims=DIMS, epsilon=EPSILON, channels=st.integers(1, 4))
def test_batch_normalization(op_model, check_vjp, space, dims, epsilon, channels):
    x = {"x": normal((2, channels, *space))}
    constants = {name: normal(channels, seed) for seed, name in enumerate(("scale", "shift", "mean"))}
    constants["variance"] = np.abs(normal(channels, 5)) + 0.5
    check_vjp(op_model("BatchNormalization", x, constants=constants, dims=dims, **epsilon), x)


def test_batch_normalization_in_training_is_refused(op_model, check_vjp):
    x = {"x": normal((2, 3, 4))}
    constants = {name: np.ones(3) for name in ("scale", "shift", "mean", "variance")}
    model = op_model("BatchNormalization", x, constants=constants, training_mode=1, outputs=["y", "m", "v"])
    with pytest.raises(GradientError, match="evaluation mode"):
        check_vjp(model, x)


def test_a_scale_that_is_computed_from_the_input_is_refused(op_model, check_vjp):
    inputs = {"x": normal((2, 3, 4)), "scale": normal(3)}
    model = op_model("InstanceNormalization", inputs, constants={"shift": normal(3)})
    with pytest.raises(GradientError, match="only constant ones"):
        check_vjp(model, inputs, wrt=["scale"])


@settings(deadline=None, max_examples=25)
@given(space=st.lists(st.integers(2, 4), min_size=1, max_size=3), dims=DIMS, epsilon=EPSILON)
def test_instance_normalization(op_model, check_vjp, space, dims, epsilon):
    x = {"x": normal((2, 3, *space))}
    constants = {"scale": normal(3, 1), "shift": normal(3, 2)}
    check_vjp(op_model("InstanceNormalization", x, constants=constants, dims=dims, **epsilon), x)


@settings(deadline=None, max_examples=25)
@given(shape=st.lists(st.integers(2, 4), min_size=1, max_size=4), dims=DIMS, epsilon=EPSILON, data=st.data(),
       shift=st.booleans())
def test_layer_normalization(op_model, check_vjp, shape, dims, epsilon, data, shift):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = {"x": normal(shape)}
    constants = {"scale": normal(shape[axis:], 1)} | ({"shift": normal(shape[axis:], 2)} if shift else {})
    check_vjp(op_model("LayerNormalization", x, constants=constants, dims=dims, axis=axis, **epsilon), x)


@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_layer_normalization_of_the_last_axis_by_default(op_model, check_vjp, dims):
    x = {"x": normal((2, 3, 4))}
    check_vjp(op_model("LayerNormalization", x, constants={"scale": normal(4, 1)}, dims=dims), x)


def test_statistics_that_are_put_out_are_not_differentiated(op_model, check_vjp):
    x = {"x": normal((2, 4))}
    model = op_model("LayerNormalization", x, constants={"scale": normal(4, 1)}, outputs=["y", "mean"])
    with pytest.raises(GradientError, match="statistics"):
        check_vjp(model, x, output="mean")


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("dims", ["known", "batch", "unknown"])
def test_group_normalization(op_model, check_vjp, opset, groups, dims):
    """Scale and shift are one per group at opset 18, one per channel since 21."""
    x = {"x": normal((2, 4, 3, 2))}
    count = groups if opset == 18 else 4
    constants = {"scale": normal(count, 1), "shift": normal(count, 2)}
    model = op_model("GroupNormalization", x, constants=constants, dims=dims, opset=opset, num_groups=groups)
    each = {name: torch.from_numpy(np.repeat(value, 4 // count)) for name, value in constants.items()}

    def forward(feeds):  # onnx's evaluator computes the statistics in float32
        return torch.nn.functional.group_norm(torch.from_numpy(feeds["x"]), groups, each["scale"],
                                              each["shift"]).numpy()

    check_vjp(model, x, forward=forward)


@settings(deadline=None, max_examples=25)
@given(shape=st.lists(st.integers(2, 4), min_size=1, max_size=4), dims=DIMS, epsilon=EPSILON, data=st.data())
def test_rms_normalization(op_model, check_vjp, shape, dims, epsilon, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = {"x": normal(shape)}
    constants = {"scale": normal(shape[axis:], 1)}
    check_vjp(op_model("RMSNormalization", x, constants=constants, dims=dims, axis=axis, opset=23, **epsilon), x)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_lp_normalization(op_model, check_vjp, power, axis, dims):
    x = {"x": normal((2, 3, 4))}
    check_vjp(op_model("LpNormalization", x, dims=dims, p=power, axis=axis), x)


@settings(deadline=None, max_examples=25)
@given(size=st.integers(1, 5), channels=st.integers(1, 6), dims=DIMS,
       others=st.sampled_from([{}, {"alpha": 0.5, "beta": 0.6, "bias": 2.0}]))
def test_local_response_normalization(op_model, check_vjp, size, channels, dims, others):
    x = {"x": normal((2, channels, 3, 2))}
    check_vjp(op_model("LRN", x, dims=dims, size=size, **others), x, runtime=size % 2 == 1)  # onnxruntime: odd only
