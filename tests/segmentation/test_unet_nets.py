"""The published geometry, and what training does with it."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from harness.api import ClassificationTarget, Fit, SegmentationTarget, TaskMismatch
from harness.geometry import fit_image, prepare
from harness_segmentation import geometry
from harness_segmentation.cells import CellImages
from harness_segmentation.params import CellsParams, UNetParams

torch = pytest.importorskip("torch")

from harness_segmentation import losses  # noqa: E402
from harness_segmentation.nets import UNet as Network  # noqa: E402
from harness_segmentation.unet import UNet  # noqa: E402

PUBLISHED = UNetParams(size=(572, 572), widths=[64, 128, 256, 512, 1024], padded=False, norm="none")


def cells(count=3, **params):
    (batch,) = CellImages(CellsParams(count=count, **params)).batches(count)
    return batch


def test_the_published_network():
    """Figure 1 of the paper: 572 -> 388, 28 x 28 at the lowest resolution, 31,030,658 parameters."""
    module = UNet(PUBLISHED).build()
    assert sum(p.numel() for p in module.parameters()) == 31_030_658
    assert not list(module.buffers())
    assert [block[2].out_channels for block in module.down] == [64, 128, 256, 512, 1024]
    narrow = UNet(PUBLISHED.model_copy(update={"widths": [1, 2, 2, 2, 4]})).build()  # the same geometry, quickly
    features = []
    narrow.down[-1].register_forward_hook(lambda *call: features.append(call[2].shape))
    assert narrow(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    assert features == [(1, 4, 28, 28)]
    tile = UNet(PUBLISHED).card_fields()["tile"]
    assert (tile.margin, tile.step, tile.remainder, tile.size) == (92, 16, 60, (572, 572))


@pytest.mark.parametrize("color", ["GRAY", "RGB", "RGBA"])
@pytest.mark.parametrize("norm", ["none", "batch", "group"])
def test_the_padded_network_keeps_the_size(color, norm):
    params = UNetParams(color=color, norm=norm, widths=[8, 16, 24], labels=["background", "a", "b"])
    module = UNet(params).build().eval()
    assert module(torch.rand(2, params.channels, 16, 28)).shape == (2, 3, 16, 28)


@pytest.mark.parametrize(("depth", "padded"), [(1, False), (2, False), (1, True), (2, True), (3, True)])
def test_margin_and_receptive_radius_by_perturbing_pixels(depth, padded):
    """What an output depends on, found by changing one input pixel at a time (positive weights: nothing cancels)."""
    module = Network(1, 1, [1] * (depth + 1), padded=padded, norm="none").double().eval()
    for parameter in module.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.0)
    step, remainder = geometry.step_remainder(depth, padded)
    side = remainder + step * 24
    margin = 0 if padded else geometry.margin(depth)
    flat = torch.ones(1, 1, side, side, dtype=torch.double)
    before = module(flat)
    assert before.shape[-1] == side - 2 * margin
    reach = 0
    for offset in range(step):
        position = side // 2 + offset
        changed = flat.clone()
        changed[..., position, position] += 1
        rows = torch.nonzero((module(changed) - before).abs().amax((0, 1, 3))).flatten() + margin
        reach = max(reach, position - int(rows[0]), int(rows[-1]) - position)
    assert reach == geometry.radius(depth)


@pytest.mark.parametrize(("params", "message"), [
    ({"size": (100, 128)}, "padded network with 3 poolings does not take 100 pixels, but 96 or 104"),
    ({"padded": False, "size": (128, 128)}, "unpadded network with 3 poolings does not take 128 pixels, but 124 or"),
    ({"padded": False, "size": (20, 20)}, "does not take 20 pixels, but 100"),
    ({"padded": False, "size": (124, 124), "fit": "stretch"}, "loses its borders"),
    ({"norm": "group", "widths": [4, 8]}, "multiples of 8"),
    ({"labels": ["cell", "cell"]}, "two labels are equal"),
    ({"tile": (100, 128)}, "tile: a padded network"),
])
def test_impossible_networks_are_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        UNetParams(**params)


@pytest.mark.parametrize("loss", ["cross-entropy", "bce", "dice", "bce+dice"])
@pytest.mark.parametrize("padded", [True, False])
def test_the_truth_has_the_least_loss(loss, padded):
    params = UNetParams(loss=loss, padded=padded, widths=[2, 4], size=(32, 32) if padded else (42, 42))
    model = UNet(params)
    batch = cells(2, size=32)
    inputs, fits = prepare(batch.images, model.input)
    encoded = model.encode(batch.targets, fits)
    assert model.build()(torch.from_numpy(inputs)).shape[2:] == encoded["mask"].shape[1:]
    truth = losses.one_hot(encoded["mask"], params.outputs)
    best = model.loss(40 * truth - 20, encoded)
    assert best < 1e-3
    for other in (20 - 40 * truth, torch.zeros_like(truth), 40 * truth - 20 + 30 * torch.randn_like(truth)):
        assert model.loss(other, encoded) > best + 1e-3


def test_weighted_cross_entropy_by_hand():
    logits = torch.tensor([[[[0.0, 1.0]], [[2.0, 0.0]]]])
    mask, weights = torch.tensor([[[1, 0]]]), torch.tensor([[[3.0, 1.0]]])
    expected = (3 * np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 4
    np.testing.assert_allclose(losses.cross_entropy(logits, mask, weights), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.binary_cross_entropy(logits[:, 1:] - logits[:, :1], mask, weights), expected,
                               rtol=1e-6)


def test_dice_loss_by_hand():
    logits, mask = torch.tensor([[[[30.0, 30.0, -30.0]]]]), torch.tensor([[[1, 0, 1]]])
    np.testing.assert_allclose(losses.dice(logits, mask, torch.ones(1, 1, 3)), 1 - (2 * 1 + 1) / (4 + 1), rtol=1e-6)
    np.testing.assert_allclose(losses.dice(logits, mask, torch.tensor([[[1.0, 0, 1]]])), 1 - 3 / 4, rtol=1e-6)


@pytest.mark.parametrize("loss", ["cross-entropy", "bce", "dice", "bce+dice"])
def test_ignored_pixels_teach_nothing(loss):
    model = UNet(UNetParams(loss=loss, widths=[2, 4], size=(8, 8)))
    mask = np.ones((8, 8), np.int32)
    mask[:4] = -1
    mask[4, 0] = 0
    target = SegmentationTarget(mask=mask, labels=("background", "cell"))
    encoded = model.encode([target], [fit_image(np.zeros((8, 8, 1), np.uint8), model.input)[1]])
    assert (encoded["weights"][0, :4] == 0).all()
    logits = torch.randn(1, model.params.outputs, 8, 8)
    changed = logits.clone()
    changed[:, :, :4] += 5
    assert model.loss(logits, encoded) == model.loss(changed, encoded)


def test_flips_move_image_mask_and_weights_together():
    model = UNet(UNetParams(widths=[2, 4], size=(32, 32)))
    batch = cells(4, size=32)
    _, fits = prepare(batch.images, model.input)
    encoded = model.encode(batch.targets, fits)
    picture = encoded["mask"][:, None].float()
    moved, after = model.augment(picture, encoded, np.random.default_rng(0))
    torch.testing.assert_close(moved[:, 0], after["mask"].float())
    assert (after["mask"] != encoded["mask"]).any()
    for one, other in zip(encoded["weights"], after["weights"], strict=True):
        torch.testing.assert_close(one.flatten().sort()[0], other.flatten().sort()[0])
    again = model.augment(picture, encoded, np.random.default_rng(0))[0]
    torch.testing.assert_close(moved, again)


@pytest.mark.parametrize("padded", [True, False])
def test_elastic_deformation_moves_them_together(padded):
    params = UNetParams(widths=[2, 4], size=(64, 64) if padded else (66, 66), padded=padded, elastic=3, flips=False)
    model = UNet(params)
    size = 64 - 0 if padded else 66 - 2 * model.margin
    y, x = np.mgrid[:size, :size]
    mask = (np.hypot(y - size / 2, x - size / 2) < size / 4).astype(np.int32)
    image, fit = fit_image((mask * 255).astype(np.uint8)[:, :, None], model.input)
    encoded = model.encode([SegmentationTarget(mask=mask, labels=("background", "cell"))], [fit])
    picture = torch.from_numpy(image[None, None, :, :, 0] / 255.0).float()
    moved, after = model.augment(picture, encoded, np.random.default_rng(1))
    inner = slice(model.margin, -model.margin or None)
    differing = ((moved[0, 0, inner, inner] > 0.5).long() != after["mask"][0]).float().mean()
    assert differing < 0.01
    assert (after["mask"] != encoded["mask"]).float().mean() > 0.02


def test_classes_are_found_by_name():
    model = UNet(UNetParams(labels=["background", "cell", "scratch"], widths=[2, 4], size=(8, 8)))
    mask = np.zeros((8, 8), np.int32)
    mask[0], mask[1], mask[2] = 1, 2, -1
    fit: Fit = fit_image(np.zeros((8, 8, 1), np.uint8), model.input)[1]
    encoded = model.encode([SegmentationTarget(mask=mask, labels=("background", "scratch", "cell"))], [fit])
    assert encoded["mask"][0, :4, 0].tolist() == [2, 1, -1, 0]
    with pytest.raises(TaskMismatch, match='class "cel", which unet does not know; did you mean "cell"'):
        model.encode([SegmentationTarget(mask=mask, labels=("background", "cel"))], [fit])
    with pytest.raises(TaskMismatch, match="ClassificationTarget"):
        model.encode([ClassificationTarget(label="cat")], [fit])
