"""Sampled thumbnails of a cell: small pictures with prediction and target as numbers, for reports.

    writer = Writer(directory / "thumbnails" / slug, card)
    writer.add(id_, image, target, predictions, row, scores)  # row: of the sample in the predictions
    writer.close()

The folder holds the pictures and `index.json`, a list of {"id", "file", "size", "target", "prediction", "scores"}; size
is the native [height, width], and all coordinates are native pixels. Masks are pictures of the thumbnail's size. Of
many boxes the predictions with the highest scores and the largest objects are kept, and "left_out" says how many are
not. Scores are the metrics' numbers of this sample alone. With a map, "overlay" is the file with the map over the
picture (harness.overlay), and "saliency" says {"class", "label", "range"}: what it explains, and its least and largest
raw value. "maps" lists {"name", "file"} of maps from inside of the network, over the picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.files import write_text
from harness.geometry import Size, place
from harness.innermaps import maps_of
from harness.masks import unpack_mask
from harness.overlay import overlay, rgb_pixels
from harness.resample import map_to_native
from harness.tasks import TASKS

if TYPE_CHECKING:
    from harness.card import ModelCard
    from harness.explaining import KeptMap
    from harness.table import Table
    from harness.tasks import Target

LONGEST_SIDE = 160
"""Of a thumbnail, in pixels; smaller images are kept as they are."""
MOST_NUMBERS = 512
"""Larger arrays are left out of index.json, only their shape is noted."""
MOST_BOXES = 100
"""Of a sample's predictions, and of its truth: more can not be told apart."""
TOP = 5
"""Classes kept of a classification."""


class Writer:
    """Writes thumbnails into a folder; pictures at once, `index.json` by `close`."""

    def __init__(self, folder: Path, card: ModelCard) -> None:
        self._folder = folder
        self._card = card
        self._entries: list[dict[str, Any]] = []

    def add(self, id_: str, image: NDArray[np.uint8], target: Target, predictions: Table, row: int,
            scores: Mapping[str, float | None] | None = None, map_: KeptMap | None = None,
            inner: Table | None = None) -> None:
        """image: (H, W, C) native uint8; predictions: stored outputs, of which `row` belongs to the image; inner: maps
        of harness.innermaps."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = f"{len(self._entries):02d}"
        height, width = image.shape[:2]
        picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image[:, :, :3])
        self._entries.append({
            "id": id_,
            "file": self._save_picture(stem, picture),
            "size": [height, width],
            "target": self._target(stem, target, (height, width)),
            "prediction": self._prediction(stem, predictions, row),
            "scores": _json(scores or {}),
        })
        if map_ is not None:
            self._entries[-1] |= self._save_saliency(stem, image, map_)
        for title, values in maps_of(inner, row, TASKS[self._card.task], self._card.input.size).items():
            name = self._save_overlay(f"{stem}.{title.replace(' ', '-')}.jpg", image, values)
            self._entries[-1].setdefault("maps", []).append({"name": title, "file": name})

    def close(self) -> None:
        """Write index.json; without any thumbnail, nothing."""
        if self._entries:
            write_text(self._folder / "index.json", json.dumps(self._entries, indent=1, allow_nan=False))

    def _save_picture(self, stem: str, picture: Image.Image) -> str:
        small = thumbnail_size(picture.height, picture.width)
        if small == (picture.width, picture.height):  # kept pixel by pixel
            name = f"{stem}.png"
            picture.save(self._folder / name, optimize=True)
        else:  # a photograph takes several times the space as PNG
            name = f"{stem}.jpg"
            picture.resize(small, Image.Resampling.LANCZOS).save(self._folder / name, quality=88)
        return name

    def _save_saliency(self, stem: str, image: NDArray[np.uint8], map_: KeptMap) -> dict[str, Any]:
        name = self._save_overlay(f"{stem}.saliency.jpg", image, map_.values)
        bounds = (map_.values.min(), map_.values.max())
        label = _class_names(self._card).get(map_.class_)
        return {"overlay": name, "saliency": {"class": map_.class_, "label": label, "range": list(map(_json, bounds))}}

    def _save_overlay(self, name: str, image: NDArray[np.uint8], values: NDArray[np.float32]) -> str:
        """The thumbnail with a map (h, w) at the model's input size over it."""
        height, width = image.shape[:2]
        small = thumbnail_size(height, width)
        fit = place(Size(height, width), self._card.input)
        picture = Image.fromarray(rgb_pixels(image)).resize(small, Image.Resampling.LANCZOS)
        drawn = overlay(np.asarray(picture), map_to_native(values, fit, (small[1], small[0])))
        Image.fromarray(drawn).save(self._folder / name, quality=88)
        return name

    def _save_mask(self, name: str, mask: NDArray[Any]) -> str:
        """(H, W) bool as 0 and 255, or class indices as they are with 255 for -1 (ignore), by nearest neighbor."""
        values = mask.astype(np.uint8) * 255 if mask.dtype == np.bool_ else mask.astype(np.uint8)
        picture = Image.fromarray(values)
        small = thumbnail_size(picture.height, picture.width)
        picture.resize(small, Image.Resampling.NEAREST).save(self._folder / name, optimize=True)
        return name

    def _prediction(self, stem: str, predictions: Table, row: int) -> dict[str, Any]:
        if self._card.task != "segmentation":
            return prediction_json(predictions, row, self._card)
        return {"mask": {"file": self._save_mask(f"{stem}.prediction.png", unpack_mask(predictions, row))}}

    def _target(self, stem: str, target: Target, size: tuple[int, int]) -> dict[str, Any]:
        given = {field.name: getattr(target, field.name) for field in fields(target)}
        if given.get("boxes") is not None:
            given = _fewer(given, np.prod(given["boxes"][:, 2:] - given["boxes"][:, :2], axis=1))
        values: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, np.ndarray) and value.shape == size and name in ("mask", "ignore"):
                values[name] = {"file": self._save_mask(f"{stem}.{name}.png", value)}
            elif value is not None:
                values[name] = _json(value)
        return values


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """(width, height) with the longest side at most LONGEST_SIDE, the aspect ratio kept, never enlarged."""
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def prediction_json(predictions: Table, row: int, card: ModelCard) -> dict[str, Any]:
    """One row of stored outputs as JSON values: class logits as their best classes, other small arrays as lists."""
    values = {name: predictions[name][row] for name in predictions}
    if "boxes" in values and "scores" in values:
        values = _fewer(values, values["scores"])
    special: Mapping[str, Callable[[Any], Any]] = {}
    if card.task == "classification":
        special = {"logits": lambda logits: _top_classes(logits, card)}
    return {name: special.get(name, _json)(value) for name, value in values.items()}


def _fewer(values: Mapping[str, Any], rank: NDArray[Any]) -> dict[str, Any]:
    """Of more than MOST_BOXES boxes those that rank highest, in their order, with what belongs to each of them."""
    count = len(values["boxes"])
    if count <= MOST_BOXES:
        return {**values}
    kept = np.sort(np.argsort(-rank, kind="stable")[:MOST_BOXES])
    fewer = {name: [value[index] for index in kept] if isinstance(value, np.ndarray | tuple) and len(value) == count
             else value for name, value in values.items()}
    return {**fewer, "left_out": count - MOST_BOXES}


def _top_classes(logits: NDArray[np.floating[Any]], card: ModelCard) -> list[dict[str, Any]]:
    """The classes with the highest softmax probabilities, best first; equal ones by class index."""
    shifted = logits.astype(np.float64) - logits.max()
    probabilities = np.exp(shifted) / np.exp(shifted).sum()
    names = _class_names(card)
    return [
        {"class": int(index), "label": names.get(int(index)), "probability": _json(probabilities[index])}
        for index in np.argsort(-shifted, kind="stable")[:TOP]
    ]


def _class_names(card: ModelCard) -> dict[int, str]:
    return {**{index: label for label, index in reversed(card.classes.items())}, **dict(enumerate(card.labels or []))}


def _json(value: Any) -> Any:
    """Arrays become lists, floats six significant digits, what is not finite null."""
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape)} if value.size > MOST_NUMBERS else [_json(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value
