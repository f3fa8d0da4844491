"""Datasets: the same samples in the same order, however they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.contracts import Dataset
from harness.specs import DatasetSpec
from harness.tasks import TASKS, Target
from harness.testing.conformance.expect import expect, same


class _Read(NamedTuple):
    images: list[Any]
    targets: list[Target]
    ids: list[str]
    unreadable: list[str]


def check_dataset(spec: DatasetSpec, dataset: Dataset, most: int = 24) -> None:
    """Deterministic, independent of the batch size, ids unique, every sample accounted for, types as the task says.

    most: how many samples are read, at evenly spread indices.
    """
    size = len(dataset)
    expect(size > 0, f"{spec.name}: empty; the factory must raise DataError instead")
    indices = [int(index) for index in np.unique(np.linspace(0, size - 1, min(most, size)).round())]
    reference = _read(dataset, 4, indices)
    names = reference.ids + reference.unreadable
    expect(len(names) == len(indices), f"{spec.name}: {len(indices)} indices gave {len(names)} samples")
    expect(len(set(names)) == len(names), f"{spec.name}: ids repeat")
    for image, target, name in zip(reference.images, reference.targets, reference.ids, strict=True):
        _check_sample(spec, image, target, f"{spec.name}, sample {name}")
    for batch in (1, 3, len(indices)):
        expect(same(_read(dataset, batch, indices), reference), f"{spec.name}: batches of {batch} give other samples")
    backward = _read(dataset, 2, indices[::-1])
    expect(backward.ids == reference.ids[::-1], f"{spec.name}: the order of the indices is not kept")
    expect(same(backward.images, reference.images[::-1]), f"{spec.name}: a sample depends on what was read before it")
    expect(dataset.fingerprint() == dataset.fingerprint(), f"{spec.name}: the fingerprint changes")


def _read(dataset: Dataset, size: int, indices: Sequence[int]) -> _Read:
    read = _Read([], [], [], [])
    for batch in dataset.batches(size, indices):
        expect(len(batch.ids) <= size, f"a batch of {len(batch.ids)} where at most {size} were asked for")
        read.images.extend(batch.images)
        read.targets.extend(batch.targets)
        read.ids.extend(batch.ids)
        read.unreadable.extend(each.id for each in batch.unreadable)
    return read


def _check_sample(spec: DatasetSpec, image: Any, target: Target, who: str) -> None:
    expect(isinstance(image, np.ndarray) and image.dtype == np.uint8, f"{who}: the image is not a uint8 array")
    expect(image.ndim == 3 and image.shape[2] in (1, 3, 4) and image.size, f"{who}: image shape {image.shape}")
    expect(isinstance(target, TASKS[spec.task].target), f"{who}: a {type(target).__name__} for task {spec.task}")
    for what, field in (("boxes", "boxes"), ("mask", "mask")):
        expect(what not in spec.provides or getattr(target, field, None) is not None, f"{who}: no {what}, but declared")
    boxes = getattr(target, "boxes", None)
    if boxes is not None:
        height, width = image.shape[:2]
        expect(boxes.ndim == 2 and boxes.shape[1] == 4, f"{who}: boxes of shape {boxes.shape}")
        inside = (boxes >= 0).all() and (boxes[:, [0, 2]] <= width).all() and (boxes[:, [1, 3]] <= height).all()
        expect(inside and (boxes[:, :2] < boxes[:, 2:]).all(), f"{who}: a box is empty or leaves the image")
    mask = getattr(target, "mask", None)
    expect(mask is None or mask.shape == image.shape[:2], f"{who}: the mask is not as large as the image")
