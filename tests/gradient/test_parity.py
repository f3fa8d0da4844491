"""Whole networks against torch autograd in float64: gradients by the image and by an inner layer."""

import copy
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch_saliency import bend  # noqa: E402
from zoo import CLASSES, EXPORTERS, NETS, SIZE, export, randomized  # noqa: E402

from harness.onnx.gradient import ClassIndex, build, modifier_rules, standard_rules  # noqa: E402
from harness.onnx.runtime import onnxruntime  # noqa: E402
from harness_classification.nets import ResNet  # noqa: E402

BOUND = 1e-5
"""Largest difference, relative to the largest gradient of a sample, between float32 and float64."""


def images(batch):
    return np.random.default_rng(batch).normal(size=(batch, 3, SIZE, SIZE)).astype(np.float32)


def classes(batch):
    return np.array([1, 3, 0][:batch])


@pytest.fixture(scope="module")
def truth(zoo):
    """truth(net, batch, modifier): gradients by the image and by the layer, by torch in float64."""

    @cache
    def compute(name, batch, modifier="gradient"):
        net = copy.deepcopy(zoo.net(name)).double()
        if modifier != "gradient":
            bend(net, modifier)
        kept = []
        net.get_submodule(NETS[name].layer).register_forward_hook(lambda _m, _i, output: kept.append(output))
        image = torch.from_numpy(images(batch)).double().requires_grad_()
        scores = net(image)
        total = scores[torch.arange(batch), torch.from_numpy(classes(batch))].sum()
        return [each.numpy() for each in torch.autograd.grad(total, [image, kept[0]])]

    return compute


@pytest.fixture(scope="module")
def gradients(zoo):
    """gradients(net, exporter, batch, modifier): the same by the graph, run by onnxruntime."""

    @cache
    def session(name, exporter, modifier):
        graph = build(zoo.export(name, exporter), output="scores", wrt=["image", zoo.layer(name, exporter)],
                      names=["by_image", "by_layer"], cotangent=ClassIndex("class"),
                      overrides=modifier_rules(modifier, standard_rules()))
        return session_of(graph)

    def compute(name, exporter, batch, modifier="gradient"):
        return session(name, exporter, modifier).run(
            ["by_image", "by_layer"], {"image": images(batch), "class": classes(batch)})

    return compute


def session_of(graph):
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime().InferenceSession(graph.SerializeToString(), options)


def assert_close(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        for one, other in zip(ours, theirs, strict=True):
            largest = np.abs(other).max()
            assert largest > 0
            assert np.abs(one - other).max() <= BOUND * largest


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETS)
def test_gradients_equal_autograd(truth, gradients, name, exporter, batch):
    assert_close(gradients(name, exporter, batch), truth(name, batch))


@pytest.mark.parametrize("modifier", ["guided", "deconv"])
@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETS)
def test_modified_gradients_equal_hooks(truth, gradients, name, exporter, modifier):
    """By the image only: at the output of an activation torch has bent the gradient already."""
    assert_close(gradients(name, exporter, 3, modifier)[:1], truth(name, 3, modifier)[:1])


# At opset 9 torch exports another upsampling than its own, and it has no attention before 14.
@pytest.mark.parametrize(("name", "opset"), [*((name, 9) for name in NETS if name not in ("unet", "vit")),
                                             *((name, 14) for name in NETS)])
def test_exports_of_older_opsets(zoo, truth, name, opset):
    """What opset 17 has as one operator is arithmetic there, and onnx converts the graph to a newer opset."""
    graph = build(export(zoo.net(name), "torchscript", opset), output="scores", wrt="image", names=["by_image"])
    found = session_of(graph).run(["by_image"], {"image": images(1), "class": classes(1)})
    assert_close(found, truth(name, 1)[:1])


@pytest.mark.parametrize("name", ["densenet", "vit"])
def test_batch_norm_and_other_constants_may_be_folded(zoo, truth, name):
    graph = build(zoo.export(name, "dynamo"), output="scores", wrt="image", names=["by_image"], fold_batch_norm=True)
    assert_close(session_of(graph).run(["by_image"], {"image": images(1), "class": classes(1)}), truth(name, 1)[:1])


def test_full_resnet18_at_224_pixels():
    """A float32 gate flips here and there, which moves single pixels: the bulk is held tightly, the whole loosely."""
    net = randomized(ResNet(18, CLASSES), "full")
    graph = build(export(net, "torchscript", size=224), output="scores", wrt="image", names=["by_image"])
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    found, = session_of(graph).run(["by_image"], {"image": image, "class": np.array([3])})
    exact = torch.from_numpy(image).double().requires_grad_()
    net.double()(exact)[0, 3].backward()
    error = np.abs(found - exact.grad.numpy())
    assert np.linalg.norm(error) <= 1e-2 * exact.grad.norm().item()
    assert np.median(error) <= 1e-5 * exact.grad.abs().max().item()


@pytest.mark.slow
def test_attention_as_one_operator(zoo, truth):
    """So exported from opset 23 on."""
    model = export(zoo.net("vit"), "dynamo", 23)
    assert "Attention" in [node.op_type for node in model.graph.node]
    graph = build(model, output="scores", wrt="image", names=["by_image"])
    assert_close(session_of(graph).run(["by_image"], {"image": images(1), "class": classes(1)}), truth("vit", 1)[:1])
