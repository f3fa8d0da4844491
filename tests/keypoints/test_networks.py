"""The networks and their training targets."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.api import ClassificationTarget, KeypointsTarget, TaskMismatch  # noqa: E402
from harness.geometry import prepare  # noqa: E402
from harness_keypoints.figures import StickFigures  # noqa: E402
from harness_keypoints.models import HeatmapNet, RegressionNet  # noqa: E402
from harness_keypoints.params import HeatmapNetParams, RegressionNetParams, StickFiguresParams  # noqa: E402


def figures(count=3, **params):
    (batch,) = StickFigures(StickFiguresParams(count=count, **params)).batches(count)
    return batch


@pytest.mark.parametrize("batch", [1, 3])
def test_shapes(batch):
    heatmapnet, regressionnet = HeatmapNet(HeatmapNetParams()), RegressionNet(RegressionNetParams())
    image = torch.rand(batch, 1, 128, 128)
    module = heatmapnet.build().eval()
    assert module(image).shape == (batch, 5, 64, 64)
    outputs = heatmapnet.predictor(module)(image)
    assert [tuple(output.shape) for output in outputs] == [(batch, 5, 2), (batch, 5), (batch, 5, 64, 64)]
    assert len(heatmapnet.output_names) == len(outputs)
    module = regressionnet.build().eval()
    assert module(image).shape == (batch, 5, 2)
    (keypoints,) = regressionnet.predictor(module)(image)
    assert keypoints.shape == (batch, 5, 2)


def test_both_have_the_same_encoder_and_their_published_size():
    heatmap, regression = HeatmapNet(HeatmapNetParams()).build(), RegressionNet(RegressionNetParams()).build()
    encoders = [{name: value.shape for name, value in network.encoder.state_dict().items()}
                for network in (heatmap, regression)]
    assert encoders[0] == encoders[1]
    assert sum(p.numel() for p in heatmap.parameters()) < 500_000
    assert sum(p.numel() for p in regression.parameters()) < 350_000


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_perfect_heatmap_has_the_least_loss_and_decodes_to_the_truth(loss):
    model = HeatmapNet(HeatmapNetParams(loss=loss))
    batch = figures()
    _, fits = prepare(batch.images, model.input)
    encoded = model.encode(batch.targets, fits)
    raw = encoded["heatmaps"]
    if loss == "bce":
        raw = torch.logit(raw.clamp(1e-6, 1 - 1e-6))
    best = model.loss(raw, encoded)
    for other in (raw + 0.1, raw - 0.1, torch.zeros_like(raw)):
        assert model.loss(other, encoded) > best
    keypoints, scores, heatmaps = model.predictor(torch.nn.Identity())(raw)
    truth = np.stack([target.points for target in batch.targets])
    np.testing.assert_allclose(keypoints, truth, atol=0.04)
    assert (scores > 0.9).all()
    np.testing.assert_allclose(heatmaps, encoded["heatmaps"], atol=2e-6)


def test_perfect_coordinates_have_no_loss_and_are_the_truth():
    model = RegressionNet(RegressionNetParams())
    batch = figures()
    _, fits = prepare(batch.images, model.input)
    encoded = model.encode(batch.targets, fits)
    assert model.loss(encoded["coordinates"], encoded) == 0
    assert ((encoded["coordinates"] > 0) & (encoded["coordinates"] < 1)).all()
    (keypoints,) = model.predictor(torch.nn.Identity())(encoded["coordinates"])
    np.testing.assert_allclose(keypoints, np.stack([t.points for t in batch.targets]), atol=1e-4)


def test_larger_images_are_encoded_at_the_input_size():
    """Pixel centers are integers: native x lies at (x + 1/2) / 2 - 1/2 after halving."""
    batch = figures(size=256)
    model = RegressionNet(RegressionNetParams())
    _, fits = prepare(batch.images, model.input)
    coordinates = model.encode(batch.targets, fits)["coordinates"]
    native = np.stack([t.points for t in batch.targets])
    np.testing.assert_allclose(coordinates, (native + 0.5) / 256, atol=1e-6)


def test_invisible_keypoints_train_nothing():
    points, visible = np.full((5, 2), 40, np.float32), np.array([True, False, True, True, True])
    _, fits = prepare(figures(1).images, HeatmapNet(HeatmapNetParams()).input)
    target = [KeypointsTarget(points=points, visible=visible)]
    assert HeatmapNet(HeatmapNetParams()).encode(target, fits)["heatmaps"][0, 1].abs().max() == 0
    model = RegressionNet(RegressionNetParams())
    encoded = model.encode(target, fits)
    wrong = encoded["coordinates"].clone()
    wrong[0, 1] += 9
    assert model.loss(wrong, encoded) == 0


def test_another_task_is_a_mismatch():
    with pytest.raises(TaskMismatch, match="ClassificationTarget"):
        HeatmapNet(HeatmapNetParams()).encode([ClassificationTarget(label="cat")], [None])
