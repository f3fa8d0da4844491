"""What `harness explain` shows of its explanations: lines, pictures and files of maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from harness.errors import UsageError
from harness.explanation import Photograph, Subject
from harness.onnx.layers import Layer, spatial_layers
from harness.onnx.scores import SCORES
from harness.overlay import Pixels, overlay, shown
from harness.resample import map_to_native
from harness.sheet import Row, contact_sheet, fitted_size

Floats = NDArray[np.float32]
_BEST = 3
"""Classes that are named for each photograph."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One class of one photograph; maps: (h, w) raw at the model's input size, one for each method."""

    photograph: Photograph
    index: int
    maps: Sequence[Floats]


def choose(subject: Subject, photograph: Photograph, classes: Sequence[str], top: int | None) -> list[int]:
    """The classes to explain: those that are named, and the `top` best; the best one when nothing is asked for.

    Raises UsageError for a class that the model does not have.
    """
    named = [subject.class_index(text, len(photograph.scores)) for text in classes]
    best = subject.best(photograph, top or (0 if named else 1))
    return list(dict.fromkeys([*named, *best]))


def report(subject: Subject, explained: Sequence[Explained]) -> Iterator[str]:
    """Lines: each photograph with its best classes, what is explained, and the layer where one is used."""
    for photograph in dict.fromkeys(each.photograph.path for each in explained):
        rows = [each for each in explained if each.photograph.path == photograph]
        first = rows[0].photograph
        best = " | ".join(f"{subject.class_name(index)} {first.shares[index]:.3f}"
                         for index in subject.best(first, _BEST))
        yield f"{photograph}: {best}"
        for row in rows:
            yield (f"  explained: {subject.class_name(row.index)} (class {row.index}), {_measure(subject)} "
                   f"{first.shares[row.index]:.3f}")
    if subject.layer:
        given = subject.card.cam_layer is not None
        yield f"layer: {subject.layer}" + ("" if given else " (the last activation that everything passes through)")


def warnings(explained: Sequence[Explained], methods: Sequence[str]) -> Iterator[str]:
    """What is wrong with maps: constant ones, and values that are not numbers."""
    for row in explained:
        for method, map_ in zip(methods, row.maps, strict=True):
            where, bad = f"{row.photograph.path.name}, {method}", int((~np.isfinite(map_)).sum())
            if bad:
                yield f"{where}: {bad} of {map_.size} values of the map are NaN or infinite"
            elif shown(map_).constant:
                yield (f"{where}: the map is constant, {map_.flat[0]:g} everywhere: it points nowhere; a map of zeros "
                       "means that the method found nothing for this class")


def check_files(picture: Path | None, maps: Path | None, count: int) -> None:
    """Raises UsageError where `count` maps can not be written under these names."""
    if picture is not None and Image.registered_extensions().get(picture.suffix.lower()) not in Image.SAVE:
        raise UsageError(f"--output {picture}: the picture can not be written in such a format; name a .png or .jpg")
    if maps is not None and maps.suffix not in (".npy", ".npz"):
        raise UsageError(f"--save-map {maps}: name a .npy or .npz")
    if maps is not None and maps.suffix == ".npy" and count > 1:
        raise UsageError(f"--save-map {maps}: {count} maps go into a .npz")


def save_picture(path: Path, subject: Subject, explained: Sequence[Explained], methods: Sequence[str]) -> None:
    """One map over its photograph at full size, or several as a contact sheet. Raises UsageError."""
    if len(explained) == len(methods) == 1:
        (row,) = explained
        picture = overlay(row.photograph.pixels, map_to_native(row.maps[0], row.photograph.fit))
    else:
        # One choice of colors for all maps of a method.
        signed = [any(shown(row.maps[number]).signed for row in explained) for number in range(len(methods))]
        layer = f"; layer {subject.layer}" if subject.layer else ""
        footer = f"{subject.path.name}{layer}; each map in its own scale"
        picture = contact_sheet(methods, [_row(subject, row, signed) for row in explained], footer, signed=any(signed))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    except OSError as error:
        raise UsageError(f"--output {path}: the picture can not be written: {error}") from error


def save_maps(path: Path, explained: Sequence[Explained], methods: Sequence[str]) -> None:
    """One map as .npy (h, w), any number as .npz with `ids`, `classes`, and `maps` or, of several methods, their names.

    The .npz of one method with one class of each photograph is what the generator `precomputed` reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, explained[0].maps[0])
        return
    stacks = {method: np.stack([row.maps[number] for row in explained]) for number, method in enumerate(methods)}
    ids = np.array([row.photograph.path.stem for row in explained])
    classes = np.array([row.index for row in explained], np.int64)
    np.savez(path, allow_pickle=False, ids=ids, classes=classes,
             **({"maps": stacks[methods[0]]} if len(methods) == 1 else stacks))


def layers(subject: Subject) -> tuple[list[Layer], str]:
    """What class activation methods can explain, from the input on, and the name of the default or ""."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(subject.handle.graph)
    height, width = subject.card.input.size
    sizes = (1, subject.card.input.channels, height, width)
    if subject.card.input.layout == "NHWC":
        sizes = (1, height, width, subject.card.input.channels)
    for dim, size in zip(fixed.graph.input[0].type.tensor_type.shape.dim, sizes, strict=False):
        dim.dim_value = size
    return spatial_layers(fixed, SCORES)[::-1], subject.layer


def _row(subject: Subject, row: Explained, signed: Sequence[bool]) -> Row:
    photograph = row.photograph
    size = fitted_size(*photograph.pixels.shape[:2])
    small = np.asarray(Image.fromarray(photograph.pixels).resize((size[1], size[0]), Image.Resampling.LANCZOS))
    overlays: list[Pixels] = [overlay(small, map_to_native(map_, photograph.fit, size), signed=each)
                              for map_, each in zip(row.maps, signed, strict=True)]
    lines = [subject.class_name(row.index), f"{_measure(subject)} {photograph.shares[row.index]:.3f}",
             photograph.path.name]
    return Row(small, lines, overlays, ["constant map" if shown(map_).constant else "" for map_ in row.maps])


def _measure(subject: Subject) -> str:
    return "probability" if subject.card.task == "classification" else "score"
