"""Networks that compute in float16: the maps are float32, and almost those of the network in float32."""

from contextlib import closing
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from pooled_cnn import SIZE, pooled_cnn

from harness.api import open_session
from harness.handle import open_handle
from harness.onnx.precision.half import to_half
from harness.onnx.precision.prepare import prepared
from harness_saliency.ablation_cam import AblationCam
from harness_saliency.graph_specs import specs
from harness_saliency.host_params import AblationCamParams

FEW = {"integrated-gradients": {"steps": 3}, "smoothgrad": {"samples": 2}, "expected-gradients": {"samples": 2}}
IMAGES = np.random.default_rng(3).normal(size=(2, 3, *SIZE)).astype(np.float32)
CLASSES = np.array([1, 3])


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The layer and the linear layer in float16, image and logits in float32."""
    path = tmp_path_factory.mktemp("half") / "model.onnx"
    onnx.save(pooled_cnn(), str(path))
    model, _ = to_half(prepared(path))
    types = {value.name: value.type.tensor_type.elem_type
             for value in onnx.shape_inference.infer_shapes(model).graph.value_info}
    assert types["two"] == TensorProto.FLOAT16
    return model


def half_image(model):
    """All of it in float16, the image as well."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value in (*changed.graph.input, *changed.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for node in changed.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    return changed


@pytest.mark.parametrize("method", [spec.name for spec in specs()])
def test_maps_of_a_network_in_float16(explained, card_of, half, method):
    expected = explained(method, pooled_cnn(), card_of(SIZE), **FEW.get(method, {})).maps(IMAGES, CLASSES)
    found = explained(method, half, card_of(SIZE), **FEW.get(method, {})).maps(IMAGES, CLASSES)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("method", ["backprop", "guided-grad-cam", "input-x-gradient", "grad-cam", "cam", "lrp"])
def test_an_image_in_float16(explained, card_of, half, method):
    expected = explained(method, pooled_cnn(), card_of(SIZE)).maps(IMAGES, CLASSES)
    found = explained(method, half_image(half), card_of(SIZE)).maps(IMAGES.astype(np.float16), CLASSES)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("layer", ["one", "two"])
def test_ablation_cam_of_a_layer_in_float16(card_of, half, tmp_path, layer):
    maps = []
    for name, model in (("full", pooled_cnn()), ("half", half)):
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        handle, _ = open_handle(card_of(SIZE, layer), tmp_path / f"{name}.onnx", partial(open_session, threads=1),
                                lambda _: None)
        with closing(handle):
            maps.append(AblationCam(AblationCamParams()).explain(handle, IMAGES, CLASSES, [0, 0]))
    assert np.abs(maps[0] - maps[1]).max() < 0.02 * maps[0].max()
