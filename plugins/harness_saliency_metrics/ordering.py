"""Curves of the class probability while pixels are exchanged by order of their saliency."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, gaussian_filter1d

from harness.api import Samples
from harness_saliency_metrics.compiled import compiled
from harness_saliency_metrics.maps import Map, normalized
from harness_saliency_metrics.probabilities import Explained, chunk, explained, original, predicted_stream

Floats = NDArray[np.float32]
Baseline = Literal["zero", "blur", "rise"]
Direction = Literal["insertion", "deletion"]
_TAPS, _SIGMA = 11, 5.0


class Curves(NamedTuple):
    """changed: (K + 1,) int64 pixels exchanged after each step, from 0 to all; target: (N, K + 1) float64 probability,
    NaN in the rows of invalid maps.
    """

    changed: NDArray[np.int64]
    target: NDArray[np.float64]

    @property
    def share(self) -> NDArray[np.float64]:
        """Of the pixels."""
        return np.asarray(self.changed / self.changed[-1], np.float64)


def curves(samples: Samples, direction: Direction, baseline: Baseline, steps: int | None) -> Curves:
    """Insertion or deletion curves of a batch, computed once for all metrics that use them."""
    return samples.once(f"harness_saliency_metrics.curves.{direction}.{baseline}.{steps}",
                        lambda: _curves(samples, direction, baseline, steps))


def descending(saliency: Map) -> NDArray[np.int64]:
    """Flat indices of the pixels, most salient first, equal ones in raster order."""
    return np.argsort(-saliency, axis=None, kind="stable")


def background(image: Floats, baseline: Baseline, channels_last: bool) -> Floats:
    """What an image has where nothing of it is shown, in the normalized input: zero, or the image blurred.

    The blur sees zero beyond the border, as RISE's convolution does.
    """
    if baseline == "zero":
        return np.zeros_like(image)
    kernel, (rows, columns) = _kernel(baseline), (0, 1) if channels_last else (1, 2)
    return convolve1d(convolve1d(image, kernel, rows, mode="constant"), kernel, columns, mode="constant")


@cache
def _kernel(baseline: Baseline) -> NDArray[np.float64]:
    """(11,) one factor of the separable kernel."""
    offsets = np.arange(_TAPS) - _TAPS // 2
    if baseline == "rise":
        return gaussian_filter1d((offsets == 0).astype(np.float64), _SIGMA)
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    return np.asarray(weights / weights.sum(), np.float64)


def _curves(samples: Samples, direction: Direction, baseline: Baseline, steps: int | None) -> Curves:
    given, before = explained(samples), original(samples).target
    changed = _counts(given.maps.shape[1:], steps)
    target = np.full((len(samples.ids), len(changed)), np.nan)
    shown = -1 if direction == "insertion" else 0  # where the curve has the image as it is
    for index, saliency in enumerate(orders(samples)):
        if saliency is None:
            continue
        image = given.inputs[index]
        ends = [background(image, baseline, given.channels_last), image]
        start, end = ends if direction == "insertion" else ends[::-1]
        missing = np.delete(changed, shown)
        images = _exchanged(given, start, end, saliency, missing)
        target[index] = np.insert(predicted_stream(samples, images, given.classes[index]),
                                  0 if shown == 0 else len(missing), before[index])
    return Curves(changed, target)


def orders(samples: Samples) -> list[NDArray[np.int64] | None]:
    """Each map's pixels by descending saliency, made once; None for an invalid map."""
    given = explained(samples)
    return samples.once("harness_saliency_metrics.order",
                        lambda: [None if normalized(raw, "none") is None else descending(raw) for raw in given.maps])


def _counts(size: tuple[int, ...], steps: int | None) -> NDArray[np.int64]:
    """Pixels changed after 0, 1, ... steps: equal steps, the last one smaller where they do not fit."""
    pixels = size[0] * size[1]
    step = size[1] if steps is None else -(-pixels // steps)
    return np.append(np.arange(0, pixels, step), pixels)


def _exchanged(given: Explained, start: Floats, end: Floats, order: NDArray[np.int64],
               counts: NDArray[np.int64]) -> Iterator[Floats]:
    """The start image with its first n pixels by order from the end image, for each n of `counts`, in batches."""
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    ranks = np.broadcast_to(given.planes(rank.reshape(given.maps.shape[1:])), start.shape).reshape(-1)
    step = chunk(start)
    for first in range(0, len(counts), step):
        few = counts[first:first + step].astype(np.int32)
        images = np.empty((len(few), start.size), np.float32)
        _exchange(images, ranks, few, start.reshape(-1), end.reshape(-1))
        yield images.reshape(len(few), *start.shape)


@compiled
def _exchange(images: Floats, ranks: NDArray[np.int32], counts: NDArray[np.int32], start: Floats, end: Floats) -> None:
    for index in range(len(counts)):
        for at in range(len(ranks)):
            images[index, at] = end[at] if ranks[at] < counts[index] else start[at]
