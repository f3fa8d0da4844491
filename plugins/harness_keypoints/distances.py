"""Pixel errors of predicted keypoints, shared by the metrics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import KeypointsTarget, Samples, TaskMismatch, part_names

Floats = NDArray[np.float64]


class Distances(NamedTuple):
    """error: (N, K) Euclidean distance in native pixels; visible: (N, K); diagonal: (N,) of the tight box of each
    figure's visible true keypoints, 0 without any; names: K keypoint names, their indices where the model has none.
    """

    error: Floats
    visible: NDArray[np.bool_]
    diagonal: Floats
    names: tuple[str, ...]


def measure_distances(samples: Samples) -> Distances:
    """Raises TaskMismatch when the truth is not keypoints or differs in their number."""
    predicted = samples.predictions.dense("keypoints").astype(np.float64)
    targets = [_keypoints(target) for target in samples.targets]
    count = predicted.shape[1]
    for target, id_ in zip(targets, samples.ids, strict=True):
        if len(target.points) != count:
            raise TaskMismatch(f"sample {id_}: the model predicts {count} keypoints, "
                               f"the truth has {len(target.points)}")
    truth = np.array([target.points for target in targets], np.float64).reshape(-1, count, 2)
    visible = np.array([target.visible for target in targets], np.bool_).reshape(-1, count)
    labels = samples.card.labels
    names = part_names(labels or map(str, range(count)))
    if len(names) != count:
        raise TaskMismatch(f"the model's card names {len(names)} keypoints ({', '.join(names)}), it predicts {count}")
    return Distances(np.linalg.norm(predicted - truth, axis=-1), visible, _diagonal(truth, visible), names)


def _keypoints(target: object) -> KeypointsTarget:
    if not isinstance(target, KeypointsTarget):
        raise TaskMismatch(f"keypoint metrics need keypoints as the truth, got {type(target).__name__}")
    return target


def _diagonal(truth: Floats, visible: NDArray[np.bool_]) -> Floats:
    low = np.where(visible[..., None], truth, np.inf).min(axis=1, initial=np.inf)
    high = np.where(visible[..., None], truth, -np.inf).max(axis=1, initial=-np.inf)
    extent = np.where(high >= low, high - low, 0)
    return np.asarray(np.linalg.norm(extent, axis=-1), np.float64)
