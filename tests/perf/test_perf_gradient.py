"""What a gradient costs in forward passes of the same file: one thread, CPU time, alternated in one process."""

import os
import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from zoo import CLASSES, SIZE, Zoo, export, randomized  # noqa: E402

from harness.onnx.gradient import build, modifier_rules, standard_rules  # noqa: E402
from harness.onnx.layers import last_spatial_activation  # noqa: E402
from harness.onnx.session import open_session  # noqa: E402
from harness_classification.nets import ResNet, Vgg  # noqa: E402

ROUNDS = 15
MOBILENET = Path(os.environ.get("HARNESS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")
                 ) / "models" / "mobilenet_v1_0.75_192.onnx"
NETWORKS = {"resnet18": (partial(ResNet, 18, 1000), 224), "vgg16-half": (partial(Vgg, 16, 1000, (224, 224), 0.5), 224)}
BARS = {("resnet18", 1): {"layer": 1.1, "gradient": 2.4, "guided": 2.4, "deconv": 2.4}}


def network(name):
    """(model, its output, the layer to explain, image size)."""
    with torch.no_grad():
        if name in NETWORKS:
            make, size = NETWORKS[name]
            model = export(randomized(make(), name), "dynamo", size=size)
            return model, "scores", last_spatial_activation(model, "scores"), size
        if name != "mobilenet-192":
            zoo = Zoo()
            return zoo.export(name, "dynamo"), "scores", zoo.layer(name, "dynamo"), SIZE
    if not MOBILENET.exists():
        pytest.skip(f"{MOBILENET} is not there: set HARNESS_SHARED_DATA")
    return onnx.load(MOBILENET), "logits", "conv26.relu6", 192


def graphs(model, output, layer):
    """Of the gradient by a layer (as Grad-CAM needs it) and by the image."""
    image, rules = model.graph.input[0].name, standard_rules()
    yield "layer", build(model, output=output, wrt=layer)
    for modifier in ("gradient", "guided", "deconv"):
        yield modifier, build(model, output=output, wrt=image, overrides=modifier_rules(modifier, rules))


def milliseconds(query):
    """The shorter CPU time of two calls."""
    times = []
    for _ in range(2):
        start = time.process_time_ns()
        query()
        times.append((time.process_time_ns() - start) / 1e6)
    return min(times)


@pytest.mark.perf
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", ["resnet18", "vgg16-half", "mobilenet-192", "mobilenet", "densenet",
                                  "efficientnet", "convnext", "vit"])
def test_cost_in_forward_passes(benchmark, tmp_path, name, batch):
    model, output, layer, size = network(name)
    image = np.random.default_rng(0).normal(size=(batch, 3, size, size)).astype(np.float32)
    feeds = {model.graph.input[0].name: image}
    queries = {"forward": bound(model, tmp_path / "forward.onnx", feeds)}
    feeds["class"] = np.arange(batch) % CLASSES
    for kind, graph in graphs(model, output, layer):
        queries[kind] = bound(graph, tmp_path / f"{kind}.onnx", feeds)
    times = {kind: [] for kind in queries}
    for round_ in range(ROUNDS):
        for kind in list(queries)[:: 1 if round_ % 2 else -1]:
            times[kind].append(milliseconds(queries[kind]))
    ratios = {kind: statistics.median(a / b for a, b in zip(taken, times["forward"], strict=True))
              for kind, taken in times.items()}
    benchmark.extra_info["forward_ms"] = round(statistics.median(times["forward"]), 3)
    benchmark.extra_info["forward_passes"] = {kind: round(ratio, 3) for kind, ratio in ratios.items()}
    benchmark.pedantic(queries["gradient"], rounds=3)
    for kind, bar in BARS.get((name, batch), {}).items():
        assert ratios[kind] <= bar, (kind, ratios[kind])


def bound(model, path, feeds):
    onnx.save(model, str(path))
    return open_session(path).bind(feeds)
