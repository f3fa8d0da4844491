"""Graph generators by name, built for a model and run."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.api import ModelCard
from harness.host import create
from harness.onnx.gradient import standard_rules
from harness.onnx.runtime import onnxruntime
from harness.onnx.scores import scores_graph
from harness_saliency.graph_specs import specs

SPECS = {spec.name: spec for spec in specs()}
DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")


def generator(name, **params):
    spec = SPECS[name]
    return create(spec, spec.params(**params))


class Explained:
    """An explainer as a graph and as a session. maps(images, classes, seeds) -> (N, H, W)."""

    def __init__(self, name, model, card, rules=None, **params):
        self.generator = generator(name, **params)
        before = model.SerializeToString()
        self.graph = self.generator.build(model, card, rules or standard_rules())
        assert model.SerializeToString() == before  # it must not be changed
        onnx.checker.check_model(self.graph, full_check=True)
        options = onnxruntime().SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime().InferenceSession(self.graph.SerializeToString(), options,
                                                      providers=["CPUExecutionProvider"])

    def feeds(self, images, seeds=None):
        return self.generator.feeds(images, seeds or list(range(10, 10 + len(images))))

    def maps(self, images, classes, seeds=None):
        image = self.session.get_inputs()[0].name
        (found,) = self.session.run(["saliency"], {image: images, "class": np.asarray(classes, np.int64),
                                                   **self.feeds(images, seeds)})
        assert found.dtype == np.float32
        return found


@pytest.fixture(scope="session")
def explained():
    """explained(method, model, card, **params): the graph is brought to `scores` first, as a handle does."""

    def make(name, model, card, **params):
        return Explained(name, scores_graph(model, card, Path("model.onnx")).model, card, **params)

    return make


@pytest.fixture(scope="session")
def card_of():
    """card_of(size, layer, output): of a classifier."""

    def make(size, layer=None, output="logits", **input_):
        return ModelCard.model_validate({"task": "classification", "input": {"size": size, **input_},
                                         "cam_layer": layer, "outputs": {"logits": output}})

    return make


@pytest.fixture(scope="session")
def mobilenet():
    """The shared network, never touched by torch, or a skip."""
    path = DATA / "models/mobilenet_v1_0.75_192.onnx"
    if not path.is_file():
        pytest.skip(f"no network {path}; set HARNESS_SHARED_DATA")
    return onnx.load(path)
