"""The composed model in a suite."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.api import InputSpec, ModelCard
from harness.contracts import ModelRequest
from harness.errors import ModelFileError
from harness.onnx.metadata import write_card
from harness_saliency.fed import locate
from harness_saliency.fed_params import SaliencyFedParams

CLASSIFIER = Path(__file__).parents[2] / "exports/cam-cnn/model.fp32.onnx"
SUITE = """
[suite]
name = "fed"
[datasets.cells]
use = "cells"
count = 3
[models.fed]
use = "saliency-fed"
classifier = "{classifier}"
segmenter = "map.onnx"
saliency = "{method}"
params = {{ {params} }}
[[bench]]
models = ["fed"]
datasets = ["cells"]
metrics = ["iou"]
"""


@pytest.fixture
def segmenter(tmp_path):
    """Says `cell` where the fourth channel, the map, is at least half of its maximum: image (N, 4, 64, 64) in 0..1."""
    weights = np.zeros((2, 4, 1, 1), np.float32)
    weights[1, 3] = 1
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["logits"])], "map",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4, 64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2, 64, 64])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([0.5, 0], np.float32), "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    write_card(model, ModelCard(task="segmentation", input=InputSpec(size=(64, 64), color="RGBA"),
                                labels=["background", "cell"]))
    onnx.save(model, str(tmp_path / "map.onnx"))
    return tmp_path / "map.onnx"


def suite(folder, method="grad-cam", params=""):
    (folder / "suite.toml").write_text(SUITE.format(classifier=CLASSIFIER, method=method, params=params))
    return folder / "suite.toml"


def test_a_suite_runs_it_like_any_segmentation_model(cli, segmenter, tmp_path):
    done = cli("run", suite(tmp_path), "--output", tmp_path / "run", "--format", "json")
    assert done.code == 0, done.err
    (cell,) = json.loads((tmp_path / "run/results.json").read_text())["cells"]
    assert (cell["key"], cell["status"]) == ("accuracy/cells/fed/fp32/onnxruntime-cpu", "ok")
    assert 0 < cell["metrics"]["iou"]["value"] < 1


def at(segmenter, precision="fp32", **params):
    request = ModelRequest("fed", precision, None, ())
    return locate(SaliencyFedParams(classifier=CLASSIFIER, segmenter=segmenter, **params), request)


def test_it_is_made_once_for_its_parts(segmenter):
    first = at(segmenter)
    written = first.path.stat().st_mtime_ns
    assert at(segmenter).path.stat().st_mtime_ns == written
    assert at(segmenter, saliency="backprop").path != first.path
    segmenter.write_bytes(segmenter.read_bytes() + onnx.ModelProto(doc_string="changed").SerializeToString())
    assert at(segmenter).path != first.path


def test_weights_beside_the_file_count(segmenter):
    onnx.save(onnx.load(segmenter), str(segmenter), save_as_external_data=True, location="map.data", size_threshold=0)
    first, graph = at(segmenter), segmenter.read_bytes()
    data = segmenter.with_name("map.data")
    data.write_bytes(data.read_bytes()[::-1])
    assert segmenter.read_bytes() == graph
    assert at(segmenter).path != first.path


def test_its_parts_can_be_wrong(segmenter, tmp_path):
    for params, message in (({"saliency": "grad-kam"}, 'did you mean "grad-cam"'),
                            ({"saliency": "rise"}, "works inside of a graph"),
                            ({"saliency": "smoothgrad"}, "draws random numbers"),
                            ({"saliency": "grad-cam", "params": {"sing": "abs"}}, r"models.fed.params.sing: Extra"),
                            ({"saliency": "grad-cam", "layer": "relu_99"}, "relu_99"),
                            ({"precision": "int8"}, "fp32, not int8")):
        with pytest.raises(ModelFileError, match=message):
            at(segmenter, **params)
    with pytest.raises(ModelFileError, match="none.onnx: no such model file"):
        at(tmp_path / "none.onnx")
    with pytest.raises(ModelFileError, match="is a classification model, a segmentation network is needed"):
        at(CLASSIFIER)
