"""What the metrics of detection compute with: true and found objects of each image, and how they match."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import DetectionTarget, ModelCard, Samples, TaskMismatch, did_you_mean, one_of, part_names
from harness_detection.boxes import areas, iou_matrix

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Objects(NamedTuple):
    """One image, native pixels. boxes: (M, 4) and found: (D, 4) float64; labels, found_labels: class indices;
    crowd: (M,) bool; areas: (M,); scores: (D,) float64; level: (D,) int64, all -1 where the model gives none.
    """

    boxes: Floats
    labels: Indices
    crowd: NDArray[np.bool_]
    areas: Floats
    found: Floats
    scores: Floats
    found_labels: Indices
    level: Indices


class Matches(NamedTuple):
    """owner: (D,) index of the object that each detection found, -1 without; ignored: (D,) it lies in a crowd."""

    owner: Indices
    ignored: NDArray[np.bool_]


def objects_of(samples: Samples) -> Iterator[Objects]:
    """Image by image. Raises TaskMismatch for targets without boxes and for labels that the model does not know."""
    stored = samples.predictions
    columns = [stored.ragged(name) for name in ("boxes", "scores", "labels")]
    levels = stored.ragged("level") if "level" in stored else None
    for row, target in enumerate(samples.targets):
        if not isinstance(target, DetectionTarget):
            raise TaskMismatch(f"detection metrics need boxes as the truth, got {type(target).__name__}")
        labels = np.array([class_index(label, samples.card) for label in target.labels], np.int64)
        boxes = target.boxes.astype(np.float64)
        sizes = areas(boxes) if target.areas is None else target.areas.astype(np.float64)
        found, scores, found_labels = (column[row] for column in columns)
        level = np.full(len(found), -1, np.int64) if levels is None else levels[row].astype(np.int64)
        yield Objects(boxes, labels, target.crowd, sizes, found.astype(np.float64), scores.astype(np.float64),
                      found_labels.astype(np.int64), level)


def match(image: Objects, iou: float, *, any_class: bool = False) -> Matches:
    """Best score first, each detection takes the free object of its class with the highest IoU of at least `iou`.

    As COCO does: one that finds none but overlaps a crowd region by at least `iou` of its own area is ignored.
    any_class: objects of all classes are candidates.
    """
    overlaps = iou_matrix(image.found, image.boxes, image.crowd)
    if not any_class:
        overlaps = np.where(image.found_labels[:, None] == image.labels[None], overlaps, -1.0)
    owner = np.full(len(image.found), -1, np.int64)
    ignored = np.zeros(len(image.found), np.bool_)
    free = ~image.crowd
    for index in np.argsort(-image.scores, kind="stable"):
        candidates = np.where(free, overlaps[index], -1.0)
        if len(candidates) and candidates.max() >= iou:
            owner[index] = candidates.argmax()
            free[owner[index]] = False
        elif image.crowd.any() and overlaps[index][image.crowd].max() >= iou:
            ignored[index] = True
    return Matches(owner, ignored)


def class_names(card: ModelCard, reserved: Collection[str] = ()) -> tuple[str, ...]:
    """The classes as parts of result names, none of them as those that the metric has reserved for others.

    Raises TaskMismatch when the model does not name them.
    """
    if not card.labels:
        raise TaskMismatch("the model does not name its classes; set models.NAME.labels")
    return part_names(card.labels, reserved)


def class_index(label: str, card: ModelCard) -> int:
    """Raises TaskMismatch for a label of the dataset that is no class of the model."""
    index = card.class_index(label)
    if index is None:
        known = [*card.classes, *(card.labels or [])]
        raise TaskMismatch(f'the dataset\'s label "{label}" is no class of this model{did_you_mean(label, known)}; it '
                           f"has {one_of(known) if known else 'no labels'}; set models.NAME.classes or labels")
    return index


def tiled(names: tuple[str, ...], count: int) -> NDArray[np.str_]:
    """(count, K) the same names in every row, so that any selection of rows knows them."""
    return np.tile(np.array(names), (count, 1))
