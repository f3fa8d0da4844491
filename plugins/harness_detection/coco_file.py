"""Reading and checking COCO's JSON; every mistake is named with its place in the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.api import DataError

_ROUNDING = 1.0
"""Boxes may leave the image by so many pixels, as rounded ones of published files do; they are clipped."""


class Item(NamedTuple):
    """One annotated object. box: half-open edges in native pixels."""

    id: str
    label: str
    box: tuple[float, float, float, float]
    crowd: bool
    area: float


class ImageEntry(NamedTuple):
    """One image of the file. size: (width, height) where the file says it."""

    id: str
    file_name: str
    size: tuple[int, int] | None
    objects: list[Item]


class CocoFile(NamedTuple):
    """images: sorted by id; categories: name -> id, in the order of the file."""

    images: list[ImageEntry]
    categories: dict[str, Any]


def read_coco(path: Path) -> CocoFile:
    """Raises DataError for a file that is missing, empty or no COCO file, and for an entry that can not be right."""
    content = _load(path)
    categories = {item["id"]: str(item["name"]) for _, item in _entries(path, content, "categories", ("id", "name"))}
    images: dict[Any, ImageEntry] = {}
    for where, item in _entries(path, content, "images", ("id", "file_name")):
        if item["id"] in images:
            raise DataError(f"{where}: the image id {item['id']!r} is used twice")
        width, height = _number(where, item, "width"), _number(where, item, "height")
        size = (int(width), int(height)) if width is not None and height is not None else None
        images[item["id"]] = ImageEntry(str(item["id"]), str(item["file_name"]), size, [])
    if not images:
        raise DataError(f"{path}: lists no images")
    for where, item in _entries(path, content, "annotations", ("image_id", "category_id")):
        if item["image_id"] not in images:
            raise DataError(f"{where}: the file lists no image with the id {item['image_id']!r}")
        if item["category_id"] not in categories:
            raise DataError(f"{where}: unknown category {item['category_id']!r}; the file lists "
                            f"{', '.join(f'{key} {name}' for key, name in list(categories.items())[:8]) or 'none'}")
        image = images[item["image_id"]]
        image.objects.append(_item(where, item, categories[item["category_id"]], image))
    return CocoFile([images[key] for key in sorted(images, key=lambda key: (str(type(key)), key))],
                    {name: key for key, name in categories.items()})


def _load(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file of annotations") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can not be read: {error}") from error
    if not text.strip():
        raise DataError(f"{path}: the file of annotations is empty")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: is no COCO file: an object with images, annotations and categories is expected")
    return content


def _entries(path: Path, content: Mapping[str, Any], part: str,
             keys: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """(place in the file, entry) of one of its lists, the required keys checked."""
    values = content.get(part)
    if not isinstance(values, list):
        raise DataError(f"{path}: has no list {part!r}; COCO's format for instances is expected")
    found = []
    for index, item in enumerate(values):
        where = f"{path}: {part}[{index}]"
        missing = [key for key in keys if not isinstance(item, dict) or key not in item]
        if missing:
            raise DataError(f"{where}: has no {missing[0]!r}")
        for key in keys:
            if key.endswith("id") and not isinstance(item[key], int | float | str):
                raise DataError(f"{where}: its {key!r} is {item[key]!r}; a number or a text is expected")
        found.append((f"{where} (id {item['id']})" if "id" in item else where, item))
    return found


def _item(where: str, item: Mapping[str, Any], label: str, image: ImageEntry) -> Item:
    x, y, width, height = _xywh(where, item)
    box = (x, y, x + width, y + height)
    if not all(map(math.isfinite, box)) or width <= 0 or height <= 0:
        raise DataError(f"{where}: the box [{x:g}, {y:g}, {width:g}, {height:g}] has no extent; repair or remove it")
    if image.size is not None:
        limits = image.size
        inside = min(x, y) >= -_ROUNDING and box[2] <= limits[0] + _ROUNDING and box[3] <= limits[1] + _ROUNDING
        box = (max(x, 0.0), max(y, 0.0), min(box[2], float(limits[0])), min(box[3], float(limits[1])))
        if not inside or box[0] >= box[2] or box[1] >= box[3]:
            raise DataError(f"{where}: the box [{x:g}, {y:g}, {width:g}, {height:g}] (x, y, width, height) leaves "
                            f"image {image.id} of {limits[0]} x {limits[1]} pixels; repair or remove it")
    elif min(x, y) < 0:
        raise DataError(f"{where}: the box [{x:g}, {y:g}, {width:g}, {height:g}] leaves image {image.id}; repair or "
                        "remove it")
    area = _number(where, item, "area")
    return Item(str(item.get("id", where)), label, box, bool(item.get("iscrowd", 0)),
                width * height if area is None else area)


def _number(where: str, item: Mapping[str, Any], key: str) -> float | None:
    """None where the file does not say it, or says null."""
    value = item.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{where}: its {key!r} is {value!r}; a number is expected")
    return float(value)


def _xywh(where: str, item: Mapping[str, Any]) -> Sequence[float]:
    """The annotation's bbox, or that of its polygons or uncompressed run lengths."""
    shape = item.get("segmentation")
    try:
        if "bbox" in item:
            x, y, width, height = map(float, item["bbox"])
            return x, y, width, height
        if isinstance(shape, list) and shape:
            points = np.concatenate([np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in shape])
            return [*points.min(axis=0), *np.ptp(points, axis=0)]
        if isinstance(shape, dict) and isinstance(shape.get("counts"), list):
            return _of_run_lengths(shape)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: its bbox or segmentation is malformed: {error}") from error
    raise DataError(f"{where}: has neither a bbox nor a segmentation as polygons or uncompressed run lengths")


def _of_run_lengths(shape: Mapping[str, Any]) -> Sequence[float]:
    """Runs of background and foreground in column-major order, background first."""
    if "size" not in shape:
        raise ValueError("its run lengths have no 'size'")
    height, width = shape["size"]
    counts = np.asarray(shape["counts"], np.int64)
    mask = np.repeat(np.arange(len(counts)) % 2, counts).astype(bool).reshape(width, height)
    columns, rows = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        raise ValueError("it is empty")
    return [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
