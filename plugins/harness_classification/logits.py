"""From stored logits and label names to what the metrics compute with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import CellError, ClassificationTarget, ModelCard, Samples, TaskMismatch, did_you_mean


def logits_of(samples: Samples) -> NDArray[np.float64]:
    """(N, C) float64 logits; -inf (an excluded class) is allowed.

    Raises TaskMismatch when the output has another rank, CellError when a logit is NaN or +inf, or a row all -inf.
    """
    logits = np.asarray(samples.predictions.dense("logits"), np.float64)
    if logits.ndim != 2:
        raise TaskMismatch(f"logits must have the shape (samples, classes), the model gives {logits.shape}; "
                           "name the right graph output under models.NAME.outputs")
    usable = np.isfinite(logits.max(axis=1))  # the maximum is NaN, +inf or, for a row of -inf, -inf
    if not usable.all():
        first = samples.ids[int(np.flatnonzero(~usable)[0])]
        raise CellError(f"the logits of {int((~usable).sum())} samples are not finite, the first is {first}; "
                        "check the model's input range and precision")
    return logits


def class_indices(samples: Samples, classes: int) -> NDArray[np.int64]:
    """(N,) class index of each sample's label, 0 <= index < classes.

    Raises TaskMismatch for a label that the model does not know, and for an index that it does not have.
    """
    names = [_label(target) for target in samples.targets]
    known = {name: _class_index(name, samples.card, classes) for name in dict.fromkeys(names)}
    return np.array([known[name] for name in names], np.int64)


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C) natural logarithms of the probabilities, without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), np.float64)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, C) probabilities; by division, so that ties give exactly 1/2, 1/3, ... and fall into the right bin."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float64)


def at(values: NDArray[Any], indices: NDArray[np.int64]) -> NDArray[Any]:
    """values[i, indices[i]] for every row i."""
    return np.take_along_axis(values, indices[:, None], axis=1)[:, 0]


def _label(target: object) -> str:
    if not isinstance(target, ClassificationTarget):
        raise TaskMismatch(f"classification metrics need a dataset with labels, this one gives {type(target).__name__}")
    return target.label


def _class_index(label: str, card: ModelCard, classes: int) -> int:
    index = card.class_index(label)
    if index is None:
        known: Sequence[str] = [*card.classes, *(card.labels or [])]
        raise TaskMismatch(f'the dataset\'s label "{label}" is no class of this model{did_you_mean(label, known)}; '
                           f'give its class index in the suite: models.NAME.classes = {{ "{label}" = INDEX }}')
    if not 0 <= index < classes:
        raise TaskMismatch(f'the label "{label}" has the class index {index}, but the model has {classes} classes '
                           f"(0 to {classes - 1}); correct models.NAME.classes or models.NAME.labels in the suite")
    return index
