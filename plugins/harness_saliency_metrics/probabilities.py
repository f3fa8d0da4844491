"""Class probabilities of changed images, and what all faithfulness metrics share of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import Explain, Samples, stable_seed
from harness_saliency_metrics.maps import Map, normalized

Floats = NDArray[np.float32]
_VALUES = 2**22
_MOST = 64


class Probabilities(NamedTuple):
    """target: (N,) float64 of the explained class; rest: (N,) 1 - target, of a softmax without the cancellation."""

    target: NDArray[np.float64]
    rest: NDArray[np.float64]


def probabilities(values: NDArray[np.float64], classes: NDArray[np.int64]) -> Probabilities:
    """(N, K) float64 probabilities of all classes and (N,) class indices."""
    target = np.take_along_axis(values, classes[:, None], axis=1)[:, 0]
    others = values.copy()
    np.put_along_axis(others, classes[:, None], 0, axis=1)
    rest = others.sum(axis=1)
    exclusive = np.abs(target + rest - 1) < 1e-9  # of a sigmoid each class stands alone
    return Probabilities(target, np.where(exclusive, rest, 1 - target))


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """(N, K) logits -> probabilities, in float64."""
    shifted = np.asarray(logits, np.float64)
    odds = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float64)


class Explained(NamedTuple):
    """The fields of samples that faithfulness metrics need, all present."""

    inputs: Floats
    maps: Floats
    classes: NDArray[np.int64]
    channels_last: bool

    def planes(self, values: NDArray[Any]) -> NDArray[Any]:
        """(..., h, w) -> with an axis of one channel, where the model's layout has it."""
        return np.expand_dims(values, -1 if self.channels_last else -3)


def explained(samples: Samples) -> Explained:
    """Raises ValueError for samples of a cell without saliency."""
    if samples.inputs is None or samples.saliency is None or samples.classes is None:
        raise ValueError("samples without inputs, saliency and classes")
    return Explained(samples.inputs, samples.saliency, samples.classes, samples.card.input.layout == "NHWC")


def original(samples: Samples) -> Probabilities:
    """Of the images as they are.

    Not from the stored predictions: those of a graph that ends with a softmax are no logits.
    """
    given = explained(samples)
    return samples.once("harness_saliency_metrics.original", lambda: predicted(samples, given.inputs, given.classes))


def explain_of(samples: Samples) -> Explain:
    """What makes further maps. Raises ValueError where there is no generator."""
    if samples.explain is None:
        raise ValueError("samples without explain")
    return samples.explain


def seeds_of(samples: Samples) -> list[int]:
    """What each map was drawn with, so that only the input or the model differs; 0 where it is not told."""
    return list(samples.seeds) if samples.seeds is not None else [0] * len(samples.ids)


def relevance(samples: Samples) -> list[Map | None]:
    """Each map with negative values removed and divided by its maximum; None for an invalid one."""
    return samples.once("harness_saliency_metrics.relevance",
                        lambda: [normalized(raw, "max") for raw in explained(samples).maps])


def predicted(samples: Samples, inputs: Floats, classes: NDArray[np.int64]) -> Probabilities:
    """Of changed images, (M, ...) float32 and (M,) classes, a bounded number at a time."""
    return probabilities(_answers(samples, pieces(inputs)), classes)


def predicted_stream(samples: Samples, images: Iterable[Floats], target: np.int64) -> NDArray[np.float64]:
    """The probability of one class over batches of changed images that are made one after the other."""
    return _answers(samples, images)[:, target]


def chunk(sample: Floats) -> int:
    """How many changed versions of one input are sent together: about 16 MB; does not depend on the cell's batches."""
    return max(1, min(_MOST, _VALUES // sample.size))


def pieces(inputs: Floats) -> Iterator[Floats]:
    """(M, ...) in bounded pieces."""
    step = chunk(inputs[0]) if len(inputs) else 1
    return (inputs[start:start + step] for start in range(0, len(inputs), step))


def draws(samples: Samples, index: int, purpose: str) -> np.random.Generator:
    """Random numbers of one sample, the same whatever the batch and the other metrics."""
    return np.random.default_rng(stable_seed(samples.seed, purpose, samples.ids[index]))


def _answers(samples: Samples, batches: Iterable[Floats]) -> NDArray[np.float64]:
    """(M, K) probabilities: the model knows whether its classes exclude each other."""
    if samples.predict is None:
        raise ValueError("samples without predict")
    scores = np.concatenate([samples.predict(batch) for batch in batches])
    return softmax(scores) if samples.model is None else samples.model.probabilities(scores)
