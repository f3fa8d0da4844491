"""Activations: their slopes away from kinks, what they pass at a kink, and modified gradients."""

import numpy as np
import pytest
import torch

from harness.onnx.gradient import modifier_rules, standard_rules

CASES = [
    ("Relu", {}), ("ThresholdedRelu", {}), ("ThresholdedRelu", {"alpha": 0.4}), ("LeakyRelu", {}),
    ("LeakyRelu", {"alpha": 0.3}), ("LeakyRelu", {"alpha": -0.3}), ("HardSigmoid", {}),
    ("HardSigmoid", {"alpha": 0.5, "beta": 0.3}), ("HardSwish", {}), ("Elu", {}), ("Elu", {"alpha": 0.5}), ("Celu", {}),
    ("Celu", {"alpha": 0.6}), ("Selu", {}), ("Selu", {"alpha": 0.8, "gamma": 1.3}), ("Sigmoid", {}), ("Tanh", {}),
    ("Softplus", {}), ("Softsign", {}), ("Erf", {}), ("Mish", {}), ("Gelu", {}), ("Gelu", {"approximate": "tanh"}),
]


def spread(shape=(2, 3, 7), seed=0, reach=4.0):
    """Values that keep a distance of at least 0.01 from all whole and half numbers, where the kinks are."""
    rng = np.random.default_rng(seed)
    halves = np.round(rng.uniform(-reach, reach, shape) * 2) / 2
    return halves + rng.choice([-1, 1], shape) * rng.uniform(0.02, 0.23, shape)


@pytest.mark.parametrize("dims", ["known", "unknown"])
@pytest.mark.parametrize(("op", "attributes"), CASES, ids=lambda value: str(value))
def test_slopes(op_model, check_vjp, op, attributes, dims):
    x = {"x": spread()}
    if op == "ThresholdedRelu" and attributes:
        x["x"] += 0.07
    check_vjp(op_model(op, x, opset=22, dims=dims, **attributes), x, tolerance=1e-7)


@pytest.mark.parametrize("alpha", [1.0, 1.7])
def test_swish(op_model, check_vjp, alpha):
    x = {"x": spread()}
    check_vjp(op_model("Swish", x, opset=24, alpha=alpha), x,
              forward=lambda feeds: feeds["x"] / (1 + np.exp(-alpha * feeds["x"])))


@pytest.mark.parametrize("slope", [(), (1,), (3, 1), (7,), (2, 3, 7)])
@pytest.mark.parametrize("dims", ["known", "unknown"])
def test_prelu(op_model, check_vjp, slope, dims):
    inputs = {"x": spread(), "slope": np.random.default_rng(1).uniform(-0.5, 0.5, slope)}
    check_vjp(op_model("PRelu", inputs, dims=dims), inputs)
    x = {"x": inputs["x"]}
    check_vjp(op_model("PRelu", x, constants={"slope": inputs["slope"]}, dims=dims), x)


@pytest.mark.parametrize("bounds", [{"low": -1.0, "high": 2.0}, {"low": 0.0}, {"high": 1.5}, {}], ids=str)
def test_clip(op_model, check_vjp, bounds):
    x = {"x": spread()}
    order = ["x", "low" if "low" in bounds else "", "high" if "high" in bounds else ""]
    constants = {name: np.array(value) for name, value in bounds.items()}
    check_vjp(op_model("Clip", x, constants=constants, order=order), x)


@pytest.mark.parametrize(("op", "constants", "x", "expected"), [
    ("Relu", {}, [-1, 0, 1], [0, 0, 1]),
    ("Clip", {"low": np.array(0.0), "high": np.array(6.0)}, [-1, 0, 3, 6, 7], [0, 0, 1, 0, 0]),
    ("LeakyRelu", {}, [-1, 0, 1], [0.01, 0.01, 1]),
    ("HardSwish", {}, [-3, 3], [0, 1]),
    ("HardSigmoid", {}, [-2.5, 2.5], [0, 0]),
    ("Abs", {}, [0], [0]),
])
def test_kinks(op_model, run_gradients, op, constants, x, expected):
    feeds = {"x": np.array(x, np.float64)}
    gradient = run_gradients(op_model(op, feeds, constants=constants), feeds, np.ones(len(x)))["x"]
    np.testing.assert_allclose(gradient, expected, rtol=1e-7)


FUNCTIONS = {"Relu": torch.relu, "Gelu": torch.nn.functional.gelu, "HardSwish": torch.nn.functional.hardswish,
             "LeakyRelu": torch.nn.functional.leaky_relu, "Mish": torch.nn.functional.mish,
             "Softplus": torch.nn.functional.softplus, "Elu": torch.nn.functional.elu}


@pytest.mark.parametrize("op", FUNCTIONS)
def test_guided_and_deconv(op_model, run_gradients, op):
    """Against their definition, with the slope and the value of the activation from torch."""
    feeds, cotangent = {"x": spread(seed=2)}, np.random.default_rng(3).normal(size=(2, 3, 7))
    x = torch.tensor(feeds["x"], requires_grad=True)
    y = FUNCTIONS[op](x)
    y.sum().backward()
    results = {modifier: run_gradients(op_model(op, feeds, opset=22), feeds, cotangent,
                                       overrides=modifier_rules(modifier, standard_rules()))["x"]
               for modifier in ("gradient", "guided", "deconv")}
    slope, value, positive = x.grad.numpy(), y.detach().numpy(), np.maximum(cotangent, 0)
    np.testing.assert_allclose(results["gradient"], slope * cotangent, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(results["guided"], slope * positive * (value > 0), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(results["deconv"], positive)


@pytest.mark.parametrize(("low", "expected"), [(0.0, [0, 0, 1, 0]), (-1.0, [0, 1, 1, 0]), (0.5, [0, 0, 1, 0])])
def test_guided_clip(op_model, run_gradients, low, expected):
    """Of another lower bound than 0 it is arithmetic, and keeps its own gradient."""
    feeds, constants = {"x": np.array([-2.0, -0.5, 1.0, 7.0])}, {"low": np.array(low), "high": np.array(6.0)}
    gradient = run_gradients(op_model("Clip", feeds, constants=constants), feeds, np.ones(4),
                             overrides=modifier_rules("guided", standard_rules()))["x"]
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("modifier", ["guided", "deconv"])
def test_saturating_functions_keep_their_gradient(op_model, run_gradients, modifier):
    feeds, cotangent = {"x": spread()}, np.random.default_rng(3).normal(size=(2, 3, 7))
    for op in ("Sigmoid", "Tanh", "Softsign", "Erf", "HardSigmoid"):
        model = op_model(op, feeds)
        modified = run_gradients(model, feeds, cotangent, overrides=modifier_rules(modifier, standard_rules()))["x"]
        np.testing.assert_array_equal(modified, run_gradients(model, feeds, cotangent)["x"])
