"""The classifiers: their published layout, weights from files, what they train on, and the layer to explain."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from harness.api import ClassificationTarget, KeypointsTarget, ModelFileError, TaskMismatch  # noqa: E402
from harness_classification.models import CamClassifier, ResNetClassifier, VggClassifier  # noqa: E402
from harness_classification.nets import CamCnn, ResNet, StaticAveragePool, Vgg  # noqa: E402
from harness_classification.params import SHAPES, CamCnnParams, ResNetParams, VggParams  # noqa: E402

NAMES = [str(index) for index in range(1000)]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("depth", "batch_norm", "parameters"), [  # as torchvision documents them
    (11, False, 132_863_336), (13, False, 133_047_848), (16, False, 138_357_544), (19, False, 143_667_240),
    (16, True, 138_365_992),
])
def test_vgg_has_its_published_size(depth, batch_norm, parameters):
    with torch.device("meta"):
        module = Vgg(depth, 1000, (224, 224), batch_norm=batch_norm)
    assert count(module) == parameters


@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672)])
def test_resnet_has_its_published_size(depth, parameters):
    with torch.device("meta"):
        assert count(ResNet(depth, 1000)) == parameters


def test_parameters_have_the_names_and_shapes_of_torchvision():
    with torch.device("meta"):
        vgg = {name: tuple(value.shape) for name, value in Vgg(16, 1000, (224, 224)).state_dict().items()}
        resnet = {name: tuple(value.shape) for name, value in ResNet(18, 1000).state_dict().items()}
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    expected = [f"features.{index}" for index in convolutions] + [f"classifier.{index}" for index in (0, 3, 6)]
    assert list(vgg) == [f"{name}.{kind}" for name in expected for kind in ("weight", "bias")]
    assert vgg["features.28.weight"] == (512, 512, 3, 3)
    assert vgg["classifier.0.weight"] == (4096, 25088)
    assert list(resnet)[:2] == ["conv1.weight", "bn1.weight"]
    assert resnet["conv1.weight"] == (64, 3, 7, 7)
    assert resnet["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert resnet["layer4.1.bn2.running_var"] == (512,)
    assert "layer1.0.downsample.0.weight" not in resnet
    assert list(resnet)[-2:] == ["fc.weight", "fc.bias"]
    assert len(resnet) == 122


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (3, 5), (10, 8), (1, 1)])
def test_static_pooling_is_adaptive_pooling(size):
    features = torch.rand(2, 3, *size)
    torch.testing.assert_close(StaticAveragePool(size, 7)(features), F.adaptive_avg_pool2d(features, 7))


@pytest.mark.parametrize("size", [96, 64])
def test_shapes(size):
    image = torch.rand(2, 3, size, size)
    modules = [CamCnn(6, (4, 8, 16)), Vgg(11, 6, (size, size), 0.05), ResNet(18, 6, 0.1)]
    assert [tuple(module.eval()(image).shape) for module in modules] == [(2, 6)] * 3
    assert modules[0].features(image).shape == (2, 16, size // 8, size // 8)


def test_the_class_map_of_cam_cnn_adds_up_to_its_logits():
    """Zhou 2016, equations 1 and 2: without hidden layers after the pooling, the mean of the map is the logit."""
    module, image = CamCnn(6, (4, 8)).eval(), torch.rand(1, 3, 32, 32)
    maps = torch.einsum("kc,nchw->nkhw", module.classifier.weight, module.features(image))
    torch.testing.assert_close(maps.mean((2, 3)) + module.classifier.bias, module(image))


SMALL = {"labels": list(SHAPES), "width": 0.05, "depth": 11, "size": 64}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path, suffix):
    path = tmp_path / f"vgg{suffix}"
    source = VggClassifier(VggParams(**SMALL)).build()
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    model = VggClassifier(VggParams(**SMALL, weights=path))
    module = model.build()
    assert any((a != b).any() for a, b in zip(module.parameters(), source.parameters(), strict=True))
    model.initialize(module)
    assert all((a == b).all() for a, b in zip(module.parameters(), source.parameters(), strict=True))


def load(path, **params):
    model = VggClassifier(VggParams(**{**SMALL, **params}, weights=path))
    model.initialize(model.build())


def test_weights_of_another_network_are_listed(tmp_path):
    path = tmp_path / "vgg.pth"
    torch.save(VggClassifier(VggParams(**{**SMALL, "depth": 19})).build().state_dict(), path)
    with pytest.raises(ModelFileError) as error:
        load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: the weights of another network: missing: features.3.weight, features.3.bias")
    assert "unexpected: features.2.weight" in message
    assert ", ... (28 in all)" in message
    unexpected = message.partition("unexpected: ")[2].partition(", ...")[0]
    assert len(unexpected.split(", ")) == 10


def test_another_number_of_classes_is_another_shape(tmp_path):
    path = tmp_path / "vgg.pth"
    torch.save(VggClassifier(VggParams(**{**SMALL, "labels": ["a", "b"]})).build().state_dict(), path)
    with pytest.raises(ModelFileError, match=r"of another shape: classifier\.6\.weight 2x205 instead of 6x205"):
        load(path)


class Surprise:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize(("content", "match"), [
    ({"epoch": 3, "state_dict": {}}, r"entries that are no tensors: epoch, state_dict; save the network alone"),
    ([1, 2], "holds a list, not a state dict"),
    (Surprise(), "can not be read as a file of weights"),
    (b"nothing", "can not be read as a file of weights"),
    (None, "no such file of weights"),
])
def test_files_that_are_no_state_dict(tmp_path, capsys, content, match):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ModelFileError, match=match):
        load(path)
    assert capsys.readouterr().out == ""


def test_a_damaged_safetensors_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(ModelFileError, match="can not be read as a file of weights"):
        load(path)


def test_labels_are_class_indices():
    model = CamClassifier(CamCnnParams(classes={"circle": 1}))
    targets = [ClassificationTarget(label=label) for label in ("star", "circle", "disc")]
    assert model.encode(targets, [])["classes"].tolist() == [4, 1, 1]
    with pytest.raises(TaskMismatch, match='"stars" is no class of this model; did you mean "star"'):
        model.encode([ClassificationTarget(label="stars")], [])
    with pytest.raises(TaskMismatch, match="the dataset gives KeypointsTarget"):
        model.encode([KeypointsTarget(points=np.zeros((1, 2)), visible=np.ones(1, bool))], [])


def test_labels_from_a_file(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    model = ResNetClassifier(ResNetParams(labels=tmp_path / "labels.txt"))
    assert model.card_fields()["labels"] == ["cat", "dog"]


def test_label_smoothing_by_hand():
    model = CamClassifier(CamCnnParams(label_smoothing=0.1))
    logits, classes = torch.randn(5, 6), torch.tensor([0, 1, 2, 3, 4])
    target = torch.full((5, 6), 0.1 / 6)
    target[torch.arange(5), classes] += 0.9
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(model.loss(logits, {"classes": classes}), expected)
