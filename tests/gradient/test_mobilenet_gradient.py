"""A real network that torch never saw: its gradient against differences of its own logits."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from harness.onnx.gradient import build
from harness.onnx.runtime import onnxruntime

DATA = Path(os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).parents[3] / "shared/data")
MODEL = DATA / "models/mobilenet_v1_0.75_192.onnx"
PHOTOGRAPHS = sorted((DATA / "pets/images").glob("*.jpg"))[:12:4]
LAYER = "conv22.relu6"
STEPS, PIECE = 64, 8
pytestmark = pytest.mark.skipif(not (MODEL.is_file() and PHOTOGRAPHS), reason=f"no shared data in {DATA}")


@pytest.fixture(scope="module")
def session():
    graph = build(onnx.load(MODEL), output="logits", wrt=["image", LAYER], names=["by_image", "by_layer"])
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime().InferenceSession(graph.SerializeToString(), options)


def image(path):
    picture = Image.open(path).convert("RGB").resize((192, 192), Image.Resampling.BILINEAR)
    return (np.asarray(picture, np.float32) / 127.5 - 1).transpose(2, 0, 1)


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_gradients_along_a_line_add_up_to_the_difference_of_its_ends(session, path):
    """The network is piecewise linear: a difference of two points has float32 noise, or kinks. The mean over a line
    has neither."""
    start = image(path)
    step = np.random.default_rng(0).normal(size=start.shape).astype(np.float32) * np.float32(0.02)
    ends = session.run(["logits"], {"image": np.stack([start, start + step]), "class": np.zeros(2, np.int64)})[0]
    chosen = int(ends[0].argmax())
    line = np.stack([start + np.float32((index + 0.5) / STEPS) * step for index in range(STEPS)])
    gradients = np.concatenate([
        session.run(["by_image"], {"image": line[first:first + PIECE], "class": np.full(PIECE, chosen)})[0]
        for first in range(0, STEPS, PIECE)])
    slopes = np.tensordot(gradients.astype(np.float64), step, axes=3)
    difference = float(ends[1, chosen]) - float(ends[0, chosen])
    assert abs(slopes.mean() - difference) <= 0.02 * np.abs(slopes).mean()


def test_the_gradient_at_an_inner_layer_is_that_of_the_rest_of_the_network(session):
    """The rest of the network by itself, from the layer on, has the same gradient by its input."""
    model = onnx.load(MODEL)
    rest = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model)).extract_model([LAYER], ["logits"])
    alone = onnxruntime().InferenceSession(build(rest, output="logits", wrt=LAYER).SerializeToString())
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    whole.graph.output.append(onnx.ValueInfoProto(name=LAYER))
    photograph, index = image(PHOTOGRAPHS[0])[None], np.array([152])
    inner, = onnxruntime().InferenceSession(whole.SerializeToString()).run([LAYER], {"image": photograph})
    expected, = alone.run([f"{LAYER}.gradient"], {LAYER: inner, "class": index})
    found, = session.run(["by_layer"], {"image": photograph, "class": index})
    assert found.shape == (1, inner.shape[1], 12, 12)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
