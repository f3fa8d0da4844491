"""The shipped networks, all of them: keypoints decoded in the graph, raw detections, segmentation of any size."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.onnx.gradient import Fed, build
from harness.onnx.runtime import onnxruntime

EXPORTS = Path(__file__).parents[2] / "exports"
CASES = [("cam-cnn", "model.fp32.onnx", "logits"), ("heatmapnet", "model.fp32.onnx", "scores"),
         ("heatmapnet", "model.fp32.onnx", "keypoints"), ("regressionnet", "model.fp32.onnx", "keypoints"),
         ("multiscale-detector", "model.raw.fp32.onnx", "log_odds"), ("unet-cells", "model.fp32.onnx", "logits")]
STEPS = 32


def session_of(model):
    options = onnxruntime().SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime().InferenceSession(model.SerializeToString(), options)


@pytest.mark.parametrize(("folder", "file", "output"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
def test_gradients_along_a_line_add_up_to_the_difference_of_its_ends(folder, file, output):
    model = onnx.load(EXPORTS / folder / file)
    image = model.graph.input[0]
    sizes = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    shape = (1, sizes[1], *(size or 64 for size in sizes[2:]))
    session = session_of(build(model, output=output, wrt=image.name, cotangent=Fed(), names=["by_image"]))
    rng = np.random.default_rng(0)
    start = rng.random(shape).astype(np.float32)
    step = rng.normal(size=shape).astype(np.float32) * np.float32(0.01)
    plain = session_of(model)
    ends = [plain.run([output], {image.name: point})[0].astype(np.float64) for point in (start, start + step)]
    feeds = {"cotangent": rng.normal(size=ends[0].shape).astype(np.float32)}
    slopes = []
    for index in range(STEPS):
        point = start + np.float32((index + 0.5) / STEPS) * step
        gradient, = session.run(["by_image"], {image.name: point, **feeds})
        assert gradient.shape == shape
        slopes.append(float(np.sum(gradient.astype(np.float64) * step)))
    difference = float(np.sum((ends[1] - ends[0]) * feeds["cotangent"]))
    assert abs(np.mean(slopes) - difference) <= 0.05 * np.mean(np.abs(slopes))


def test_a_score_of_a_detection_behind_suppression_has_a_gradient():
    """As many rows as there are detections: the cotangent names one of them."""
    model = onnx.load(EXPORTS / "multiscale-detector" / "model.fp32.onnx")
    session = session_of(build(model, output="scores", wrt="pixels", cotangent=Fed(), names=["by_image"]))
    pixels = np.random.default_rng(0).random((1, 3, 224, 224)).astype(np.float32)
    scores, = session_of(model).run(["scores"], {"pixels": pixels})
    assert len(scores) > 1
    rows = [session.run(["by_image"], {"pixels": pixels, "cotangent": row})[0] for row in np.eye(2, len(scores), 0,
                                                                                              np.float32)]
    total, = session.run(["by_image"], {"pixels": pixels, "cotangent": np.eye(2, len(scores), 0, np.float32).sum(0)})
    assert all(np.abs(row).max() > 0 for row in rows)
    np.testing.assert_allclose(total, rows[0] + rows[1], atol=1e-5 * np.abs(total).max())


@pytest.mark.parametrize("size", [(32, 48), (64, 40)])
def test_unknown_height_and_width_give_what_known_ones_do(size):
    """Sizes that are computed in the graph take other ways through pooling and transposed convolutions."""
    free = onnx.load(EXPORTS / "unet-cells" / "model.fp32.onnx")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(free)
    for value in (*fixed.graph.input, *fixed.graph.output):
        for axis, length in zip((0, 2, 3), (2, *size), strict=True):
            value.type.tensor_type.shape.dim[axis].dim_value = length
    rng = np.random.default_rng(0)
    feeds = {"image": rng.random((2, 1, *size)).astype(np.float32),
             "cotangent": rng.normal(size=(2, 2, *size)).astype(np.float32)}
    gradients = [session_of(build(model, output="logits", wrt="image", cotangent=Fed(), names=["by_image"])).run(
        ["by_image"], feeds)[0] for model in (free, fixed)]
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-5 * np.abs(gradients[1]).max())
