"""Draws the pictures of faithfulness-metrics.md from generated scenes: python docs/faithfulness_pictures.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from harness.evaluate import card_of
from harness.explaining import generator_of
from harness.geometry import prepare
from harness.handle import Handle, open_handle
from harness.host import Host
from harness.onnx.session import open_session
from harness.specs import SaliencySpec
from harness_classification.foreground import Foreground
from harness_classification.params import ForegroundParams
from harness_saliency_metrics.imputation import impute
from harness_saliency_metrics.mismatches import classify
from harness_saliency_metrics.ordering import background, descending
from harness_saliency_metrics.probabilities import probabilities
from harness_saliency_metrics.warping import warp

PICTURES = Path(__file__).parent / "pictures"
EXPORT = Path(__file__).parents[1] / "exports" / "cam-cnn" / "model.fp32.onnx"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
GAP, BAR, ZOOM = 8, 14, 2
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def main(folder: Path = PICTURES) -> None:
    """Write both pictures."""
    folder.mkdir(exist_ok=True)
    save(folder / "faithfulness.png", faithfulness_panels())
    save(folder / "warping-error.png", warping_panels())


def save(path: Path, panels: Sequence[tuple[str, Pixels]]) -> None:
    """Panels side by side, each under its title, enlarged, as a small PNG of few colors."""
    panels = [(title, pixels.repeat(ZOOM, 0).repeat(ZOOM, 1)) for title, pixels in panels]
    height = max(len(pixels) for _, pixels in panels) + BAR
    width = sum(pixels.shape[1] + GAP for _, pixels in panels) - GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw, left = ImageDraw.Draw(sheet), 0
    for title, pixels in panels:
        draw.text((left, 0), title, fill="black")
        sheet.paste(Image.fromarray(pixels), (left, BAR))
        left += pixels.shape[1] + GAP
    sheet.quantize(64).save(path, optimize=True)


# --- what the network is shown


def faithfulness_panels() -> list[tuple[str, Pixels]]:
    """One scene, its class activation map, and what the metrics make of both."""
    handle, _ = open_handle(card_of(EXPORT), EXPORT, lambda path: open_session(path, threads=1), lambda _: None)
    (batch,) = Foreground(ForegroundParams(count=30)).batches(1, [9])
    inputs, _ = prepare(batch.images, handle.card.input)
    target = handle.card.class_index(batch.targets[0].label)
    saliency = activation_map(handle, inputs, target)
    order, image = descending(saliency), inputs[0]
    few, removed = order[:len(order) // 5], np.zeros(saliency.shape, np.bool_)
    removed.reshape(-1)[few] = True
    blurred = background(image, "blur", channels_last=False)
    changed = {"seen through it": image * np.maximum(saliency, 0) / saliency.max(), "deleted, 20 %": image * ~removed,
               "inserted, 20 %": np.where(removed, image, blurred), "ROAD, 20 %": impute(image, removed)}
    panels = [("scene", picture(image)), ("its map", heat(saliency)),
              *((title, picture(values)) for title, values in changed.items())]
    ends = {"deletion": (image, np.zeros_like(image)), "insertion": (blurred, image)}
    shown = [exchanged(handle, start, end, order, target) for start, end in ends.values()]
    handle.close()
    return [*panels, ("insertion (blue), deletion (red)", plot(shown, [(200, 60, 40), (40, 90, 200)]))]


def activation_map(handle: Handle, inputs: Floats, target: int) -> Floats:
    """Of the class, as `cam` makes it."""
    spec = Host.discover().spec(SaliencySpec, "cam")
    return generator_of(spec, spec.params()).explain(handle, inputs, np.array([target]), [0])[0]


def exchanged(handle: Handle, start: Floats, end: Floats, order: NDArray[np.int64], target: int) -> NDArray[np.float64]:
    """Probability of the class at 33 shares of pixels from the end image."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    counts = np.linspace(0, len(order), 33)
    images = [np.where(rank.reshape(start.shape[1:]) < count, end, start) for count in counts]
    return probabilities(handle.predict(np.stack(images)), np.full(33, target)).target


def picture(image: NDArray[np.floating]) -> Pixels:
    """A normalized input as (h, w, 3) uint8."""
    pixels = np.asarray(image).transpose(1, 2, 0) * STD + MEAN
    return np.asarray(np.clip(255 * pixels, 0, 255), np.uint8)


def heat(saliency: Floats) -> Pixels:
    """White to dark red."""
    share = np.clip(saliency / saliency.max(), 0, 1)[..., None]
    return np.asarray(255 * (1 - share) + np.array([150, 0, 20]) * share, np.uint8)


def plot(curves: Sequence[NDArray[np.float64]], colors: Sequence[tuple[int, int, int]], side: int = 96) -> Pixels:
    """Curves over 0 to 1, from 0 to 1."""
    canvas = Image.new("RGB", (side, side), (245, 245, 245))
    draw = ImageDraw.Draw(canvas)
    for curve, color in zip(curves, colors, strict=True):
        x = np.linspace(0, side - 1, len(curve))
        draw.line(list(zip(x, (side - 3) * (1 - curve) + 1, strict=True)), fill=color, width=2)
    return np.asarray(canvas)


# --- topology


def warping_panels() -> list[tuple[str, Pixels]]:
    """A mask, a prediction with a hole, a split and an object too much, and what warping leaves of the difference."""
    y, x = np.mgrid[:96, :96]
    source = (((x - 30) / 20) ** 2 + ((y - 48) / 30) ** 2 < 1) | (((x - 66) / 18) ** 2 + ((y - 44) / 12) ** 2 < 1)
    smooth = gaussian_filter(np.random.default_rng(4).normal(size=(96, 96)), 6)
    prediction = gaussian_filter(source.astype(float), 3) + 2.2 * smooth
    prediction[(x - 30) ** 2 + (y - 52) ** 2 < 60] = 0.2  # a hole
    prediction[(abs(x - 55) < 4)] = 0.1  # a cut
    prediction[(x - 80) ** 2 + (y - 82) ** 2 < 50] = 0.9  # another object
    target = prediction >= 0.5
    found = warp(source, target, np.abs(prediction - 0.5))
    kinds = classify(found).kinds
    colors = np.array([[0, 0, 0], [250, 170, 0], [220, 40, 40], [60, 110, 230], [0, 160, 160], [150, 60, 200],
                       [230, 90, 170], [120, 120, 120]])
    return [("mask", mask_picture(source)), ("prediction", mask_picture(target)),
            ("pixel errors", mask_picture(target, source != target, np.array([230, 120, 60]))),
            ("warped mask", mask_picture(found.warped)),
            ("what remains", mask_picture(target, kinds > 0, colors[kinds]))]


def mask_picture(mask: NDArray[np.bool_], marked: NDArray[np.bool_] | None = None,
                 color: NDArray[np.int64] | None = None) -> Pixels:
    """Gray on white, marked pixels in color."""
    pixels = np.where(mask[..., None], [70, 70, 70], [240, 240, 240])
    if marked is not None and color is not None:
        pixels = np.where(marked[..., None], color, pixels)
    return np.asarray(pixels, np.uint8)


if __name__ == "__main__":
    main()
