"""Overlap-tile inference on exported graphs of free height and width."""

from __future__ import annotations

import numpy as np
import pytest

from harness.card import ModelCard
from harness.contracts import ModelFile
from harness.geometry import Size, colored, mirrored_window, normalize
from harness.masks import unpack_mask
from harness.onnx.models import load_card
from harness.onnx.runner import ModelRunner
from harness.onnx.session import open_session
from harness.opened import OpenedModel
from harness.tiling import admitted, predict_tiles
from harness_segmentation.params import UNetParams

torch = pytest.importorskip("torch")

from harness.export import to_onnx  # noqa: E402
from harness_segmentation.unet import UNet  # noqa: E402

PARAMS = {
    "padded, one channel": UNetParams(widths=[4, 8], size=(32, 32), loss="bce+dice", color="RGB", tile=(48, 40)),
    "unpadded": UNetParams(widths=[4, 8], size=(32, 32), tile=(42, 34), padded=False, norm="none"),
}


@pytest.fixture(scope="module", params=list(PARAMS))
def opened(request, tmp_path_factory):
    model = UNet(PARAMS[request.param])
    torch.manual_seed(0)
    module = model.build()
    with torch.no_grad():  # statistics of normalization that are not those of a fresh network
        module.train()(torch.rand(2, model.params.channels, *model.input.size))
    card = ModelCard(task="segmentation", input=model.input, input_name="image", **model.card_fields())
    path = tmp_path_factory.mktemp("unet") / "model.fp32.onnx"
    path.write_bytes(to_onnx(model.predictor(module.eval()), model, card).SerializeToString())
    session = open_session(path)
    card = load_card(ModelFile(path))
    yield OpenedModel("unet", path, card, ModelRunner(session, card, path)), module
    session.close()


def predict(model, inputs):
    return model.outputs(inputs, [f"#{index}" for index in range(len(inputs))])["logits"]


def whole_image(model, image):
    """One inference over the mirrored image."""
    size = Size(*(admitted(length, model.card.tile) for length in image.shape[:2]))
    margin = model.card.tile.margin
    window = mirrored_window(image, -margin, -margin, size)
    logits = model.outputs(normalize(window[None], model.card.input), ["whole"])["logits"][0]
    return logits[:, : image.shape[0], : image.shape[1]]


def in_tiles(model, image):
    parts = list(predict_tiles(image, model.card.tile, lambda w: predict(model, normalize(w, model.card.input))))
    assert len(parts) > 4
    logits = np.full((parts[0][1].shape[0], *image.shape[:2]), np.nan, np.float32)
    for part, values in parts:
        logits[:, part[0], part[1]] = values
    return logits


def picture(model, height=150, width=131):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, model.card.input.channels), np.uint8)


def test_tiles_equal_the_whole_image(opened):
    """Unpadded everywhere; padded beyond the receptive radius from the border, where one mirrors and one pads zeros."""
    model, _ = opened
    image = picture(model)
    whole, tiled = whole_image(model, image), in_tiles(model, image)
    radius = 0 if model.card.tile.margin else model.card.tile.radius
    inner = slice(radius, -radius or None)
    assert np.abs(whole - tiled)[:, inner, inner].max() <= 1e-5 * max(1, np.abs(whole).max())
    assert np.ptp(whole) > 0.1


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_the_graph_is_torchs_at_any_admitted_size(opened, batch):
    model, module = opened
    spec = model.card.tile
    size = tuple(spec.remainder + spec.step * steps for steps in (21, 19))
    inputs = np.random.default_rng(batch).random((batch, model.card.input.channels, *size), np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(inputs)).numpy()
    assert np.abs(predict(model, inputs) - expected).max() <= 1e-4


def test_segment_gives_a_class_for_every_pixel(opened):
    model, _ = opened
    native = np.random.default_rng(1).integers(0, 256, (101, 90, 3), np.uint8)
    gray = native[:, :, :1]
    table = model.segment([native, gray], ["a", "b"])
    for row, image in enumerate((native, gray)):
        found = unpack_mask(table, row)
        assert found.shape == image.shape[:2]
        assert 0 <= found.min() <= found.max() <= 1
    logits = in_tiles(model, colored(native, model.card.input.color)) if native.shape[0] > 100 else None
    best = logits.argmax(0) if len(logits) > 1 else (logits[0] > 0)
    np.testing.assert_array_equal(unpack_mask(table, 0), best)


def test_the_card_says_what_is_lost_at_the_borders(opened):
    model, module = opened
    spec = model.card.tile
    size = [spec.remainder + spec.step * 20] * 2
    lost = size[0] - module(torch.rand(1, model.card.input.channels, *size)).shape[2]
    assert lost == 2 * spec.margin
