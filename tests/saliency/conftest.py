"""Small networks as ONNX graphs, opened as handles, and the same networks in float64 NumPy."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.api import ModelCard, open_session
from harness.handle import open_handle

SIZE = (12, 10)
CLASSES = 4


def save(nodes, constants, path, batch="batch", layout="NCHW", size=SIZE):
    shape = [batch, 3, *size] if layout == "NCHW" else [batch, *size, 3]
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path


def card(layout="NCHW", size=SIZE):
    return ModelCard.model_validate({"task": "classification", "input": {"size": size, "layout": layout},
                                     "labels": ["ant", "bee", "cat", "dog"][:CLASSES]})


def linear_weights(scale=1.0):
    """(3, h, w, K) and (K,) float32."""
    rng = np.random.default_rng(7)
    weights, bias = scale * rng.normal(size=(3, *SIZE, CLASSES)), rng.normal(size=CLASSES)
    return weights.astype(np.float32), bias.astype(np.float32)


def save_linear(folder: Path, layout="NCHW", batch="batch", scale=1.0):
    """logits = weights . image + bias."""
    weights, bias = linear_weights(scale)
    if layout == "NHWC":
        weights = weights.transpose(1, 2, 0, 3)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]),
             helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"])]
    constants = {"weights": np.ascontiguousarray(weights.reshape(-1, CLASSES)), "bias": bias}
    return save(nodes, constants, folder / "linear.onnx", batch, layout)


def cnn_weights(seed=3):
    rng = np.random.default_rng(seed)
    shapes = {"first": (8, 3, 3, 3), "second": (6, 8, 3, 3), "head": (CLASSES, 6), "bias": (CLASSES,)}
    gain = {name: (3 if name == "head" else 1) / np.sqrt(np.prod(shape[1:])) for name, shape in shapes.items()}
    return {name: (gain[name] * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}


def save_cnn(folder: Path, batch="batch", *, skip=False):
    """Two convolutions with stride 2 and ReLU ("one", "two"), the mean over space, a linear layer; 8 and 6 channels.

    skip: another path bypasses "two", but not "one".
    """
    nodes = [helper.make_node("Conv", ["image", "first"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
             helper.make_node("Relu", ["c1"], ["one"]),
             helper.make_node("Conv", ["one", "second"], ["c2"], pads=[1, 1, 1, 1], strides=[2, 2]),
             helper.make_node("Relu", ["c2"], ["two"]),
             helper.make_node("ReduceMean", ["two", "space"], ["pooled"], keepdims=0),
             helper.make_node("Gemm", ["pooled", "head", "bias"], ["deep" if skip else "logits"], transB=1)]
    if skip:
        nodes += [helper.make_node("ReduceMean", ["one", "rest"], ["shallow"], keepdims=0),
                  helper.make_node("Unsqueeze", ["shallow", "last"], ["column"]),
                  helper.make_node("Add", ["deep", "column"], ["logits"])]
    constants = {**cnn_weights(), "space": np.array([2, 3]), "rest": np.array([1, 2, 3]), "last": np.array([1])}
    used = {name for node in nodes for name in node.input}
    return save(nodes, {name: value for name, value in constants.items() if name in used}, folder / "cnn.onnx", batch)


class Cnn:
    """The network of save_cnn in float64, one image at a time, by plain sums."""

    def __init__(self):
        self.weights = {name: value.astype(np.float64) for name, value in cnn_weights().items()}

    def activations(self, image):
        """(3, h, w) -> (6, h', w')."""
        return self._layer(self._layer(image.astype(np.float64), self.weights["first"]), self.weights["second"])

    def head(self, channels):
        """(6, h', w') -> (K,)."""
        return self.weights["head"] @ channels.mean(axis=(1, 2)) + self.weights["bias"]

    def logits(self, image):
        return self.head(self.activations(image))

    @staticmethod
    def _layer(image, kernels):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        rows, columns = ((side + 1) // 2 for side in image.shape[1:])
        found = np.zeros((len(kernels), rows, columns))
        for row in range(rows):
            for column in range(columns):
                patch = padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
                found[:, row, column] = (kernels * patch).sum(axis=(1, 2, 3))
        return np.maximum(found, 0)


def softmax(logits):
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


@pytest.fixture(scope="session")
def nets():
    """What is defined above: test modules can not import it."""
    return SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})


@pytest.fixture
def opened():
    """opened(path, card=...) -> handle; handle.passes lists the samples of every run."""
    handles = []

    def open_(path, card_=None):
        passes = []
        handle, _ = open_handle(card_ or card(), path, open_session, passes.append)
        handle.passes = passes
        handles.append(handle)
        return handle

    yield open_
    for handle in handles:
        handle.close()


@pytest.fixture
def images():
    """(3, 3, h, w) float32, standard normal."""
    return np.random.default_rng(1).normal(size=(3, 3, *SIZE)).astype(np.float32)
