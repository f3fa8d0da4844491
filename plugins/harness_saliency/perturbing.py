"""What methods that change the input share: variants of one input, in batches of bounded size, and their scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import InputSpec, ModelHandle
from harness_saliency.host_params import Baseline, PassParams, Score

Floats = NDArray[np.float32]
_BLUR = 1 / 16
"""Standard deviation of the blurred baseline, as a fraction of each side."""


def class_scores(model: ModelHandle, inputs: Floats, class_: int, score: Score) -> NDArray[np.float64]:
    """(N, ...) inputs -> (N,) scores of one class, as `scores_as` takes them."""
    return scores_as(score, model.predict(inputs), model)[:, class_]


def scores_as(score: Score, scores: NDArray[Any], model: ModelHandle) -> NDArray[np.float64]:
    """(N, K) scores of a model, as they are, or as probabilities where the model is a classifier."""
    return scores.astype(np.float64) if score == "logit" else model.probabilities(scores)


def pieces(count: int, model: ModelHandle, params: PassParams) -> Iterator[slice]:
    """0 to `count` in pieces that are run at once."""
    size = params.batch_size or model.batch
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


def mixed(image: Floats, other: Floats, masks: Floats, spec: InputSpec) -> Floats:
    """image * mask + other * (1 - mask) for each mask.

    image, other: one input without its batch dimension, in the model's layout; masks: (B, h, w).
    """
    spread = masks[:, None] if spec.layout == "NCHW" else masks[..., None]
    if not other.any():
        return image[None] * spread
    return other[None] + (image - other)[None] * spread


def baseline(image: Floats, kind: Baseline, spec: InputSpec) -> Floats:
    """What stands for a missing part of one input, of its shape.

    zero: 0 after normalization (the mean color where the model's input has mean and std, mid-gray for [-1, 1], black
    for [0, 1]); mean: the image's own mean color; blur: the image through a Gaussian of 1/16 of each side.
    """
    if kind == "zero":
        return np.zeros_like(image)
    axes = (1, 2) if spec.layout == "NCHW" else (0, 1)
    if kind == "mean":
        return np.broadcast_to(image.mean(axis=axes, keepdims=True), image.shape).astype(np.float32)
    from scipy.ndimage import gaussian_filter

    sigma = [_BLUR * image.shape[axis] if axis in axes else 0.0 for axis in range(3)]
    blurred: NDArray[Any] = gaussian_filter(image, sigma, mode="nearest")
    return blurred.astype(np.float32, copy=False)
