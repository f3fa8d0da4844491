"""Maps that know nothing of the image: what every method should beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelHandle
from harness_saliency.host_params import CenterGaussianParams, RandomParams

Floats = NDArray[np.float32]


class Random:
    """(N, h, w) float32, uniform in [0, 1), by the samples' seeds."""

    def __init__(self, params: RandomParams) -> None:
        del params

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[Any], seeds: Sequence[int]) -> Floats:
        del inputs, classes
        size = model.card.input.size
        return np.stack([np.random.default_rng(seed).random(size, np.float32) for seed in seeds])


class CenterGaussian:
    """(N, h, w) float32: exp(-(x^2 + y^2) / 2), x and y the distances from the center in standard deviations.

    1 at the center; where a side has an even number of pixels, the center lies between two of them. Localization is
    judged against such a center prior in Zhang et al. 2018 (pointing game, "Center").
    """

    def __init__(self, params: CenterGaussianParams) -> None:
        self.sigma = params.sigma

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[Any], seeds: Sequence[int]) -> Floats:
        del classes, seeds
        rows, columns = (np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (self.sigma * side)) ** 2)
                         for side in model.card.input.size)
        bell = np.outer(rows, columns).astype(np.float32)
        return np.repeat(bell[None], len(inputs), axis=0)
