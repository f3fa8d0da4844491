"""Truth and prediction of each sample in one set of class indices, shared by the metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import (
    ModelCard,
    Samples,
    SegmentationTarget,
    TaskMismatch,
    did_you_mean,
    one_of,
    part_names,
    unpack_mask,
)

ClassMap = NDArray[np.int16]
IGNORED = -1
_OWN = frozenset({"macro", "micro", "empty", "precision", "recall", "iou", "image", "sq", "rq"})
"""Parts of results that are no classes."""


class Pair(NamedTuple):
    """truth: (H, W), IGNORED where nothing is judged; predicted: (H, W), -1, always wrong, where the model saw nothing;
    instances: (H, W) object numbers from 1, None without.
    """

    truth: ClassMap
    predicted: ClassMap
    instances: NDArray[np.int32] | None


def class_names(samples: Samples) -> tuple[str, ...]:
    """By class index: the model's own, or the dataset's where the card has none."""
    names = samples.card.labels or _target(samples.targets[0]).labels
    return part_names(names, _OWN)


def pairs(samples: Samples, ignore: Collection[str] = ()) -> Iterator[Pair]:
    """One after the other, so that no more than one is in memory.

    ignore: names of classes whose pixels are not judged. Raises TaskMismatch for another task, for a class of the
    dataset that the model does not have, and for a prediction of another size than the truth.
    """
    for row, (target, id_) in enumerate(zip(samples.targets, samples.ids, strict=True)):
        segmentation = _target(target)
        predicted = unpack_mask(samples.predictions, row)
        if predicted.shape != segmentation.mask.shape:
            raise TaskMismatch(f"sample {id_}: the prediction has {predicted.shape} pixels, the truth "
                               f"{segmentation.mask.shape}")
        own = np.array([*_indices(segmentation.labels, samples.card, ignore), IGNORED], np.int16)
        yield Pair(own[segmentation.mask], predicted, segmentation.instances)


def _target(target: object) -> SegmentationTarget:
    if not isinstance(target, SegmentationTarget):
        raise TaskMismatch(f"segmentation metrics need class maps as the truth, got {type(target).__name__}")
    return target


def _indices(labels: Sequence[str], card: ModelCard, ignore: Collection[str]) -> Iterator[int]:
    """The model's class index of each of the dataset's labels."""
    for name in ignore:
        if name not in labels:
            raise TaskMismatch(f'ignore: the dataset has no class "{name}"{did_you_mean(name, labels)}; it has '
                               f"{one_of(labels)}")
    for position, name in enumerate(labels):
        if name in ignore:
            yield IGNORED
            continue
        index = card.class_index(name) if card.labels or card.classes else position
        if index is None:
            near = did_you_mean(name, card.labels or ())
            raise TaskMismatch(f'the model has no class "{name}" of the dataset{near}; '
                               f"set the model's classes, or the metric's ignore")
        yield index
