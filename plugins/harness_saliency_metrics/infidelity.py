"""Infidelity: how well does a map predict what the network does when the image is perturbed?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import InfidelityParams
from harness_saliency_metrics.maps import normalized
from harness_saliency_metrics.probabilities import chunk, draws, explained, original, predicted_stream
from harness_saliency_metrics.summaries import INVALID, mean

Floats = NDArray[np.float32]


class Infidelity:
    """Mean over perturbations I of (b I.S - (p(x) - p(x - I)))^2, S scaled by the b that is best for it (Yeh 2019).

    The factor makes the number independent of the map's scale. square: S is what each pixel contributes, so that I.S is
    its sum over the square; gaussian: S is a slope, so that I.S weighs the noise, summed over channels. Lower is
    better, 1 is the most. Rows: value, invalid.
    """

    def __init__(self, params: InfidelityParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        given = explained(samples)
        values = np.array([np.nan if normalized(raw, "none") is None else self._value(samples, index)
                           for index, raw in enumerate(given.maps)])
        invalid = np.isnan(values)
        return Table({"value": np.where(invalid, 1.0, values), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=False, convention=self.params.convention_text,
                                 unit="squared error")})

    def _value(self, samples: Samples, index: int) -> float:
        expected: list[NDArray[np.float64]] = []
        images = self._perturbed(samples, index, expected)
        after = predicted_stream(samples, images, explained(samples).classes[index])
        told, change = np.concatenate(expected), original(samples).target[index] - after
        square = told @ told
        scale = told @ change / square if square > 0 else 0.0
        return float(np.mean((scale * told - change) ** 2))

    def _perturbed(self, samples: Samples, index: int, expected: list[NDArray[np.float64]]) -> Iterator[Floats]:
        """Perturbed images in batches; what the map says of each of them is appended to `expected` meanwhile."""
        given = explained(samples)
        image, saliency = given.inputs[index], given.maps[index].astype(np.float64)
        saliency = saliency / np.abs(saliency).max()
        rng, step = draws(samples, index, "infidelity"), chunk(image)
        for start in range(0, self.params.draws, step):
            count = min(step, self.params.draws - start)
            if self.params.perturbation == "square":
                inside = _squares(rng, count, saliency.shape, self.params.side)
                expected.append(np.tensordot(inside, saliency, axes=2))
                yield np.where(given.planes(inside), np.float32(0), image)
            else:
                noise = rng.normal(0, self.params.sigma, (count, *image.shape))
                expected.append(np.tensordot(noise.sum(axis=-1 if given.channels_last else 1), saliency, axes=2))
                yield np.asarray(image - noise, np.float32)


def _squares(rng: np.random.Generator, count: int, size: tuple[int, ...], side: float) -> NDArray[np.bool_]:
    """(count, h, w) bool: one square in each, anywhere in the image."""
    length = max(1, round(side * min(size)))
    top, left = (rng.integers(0, full - length + 1, count)[:, None] for full in size)
    rows, columns = (np.arange(full)[None] for full in size)
    inside = (rows >= top) & (rows < top + length), (columns >= left) & (columns < left + length)
    return inside[0][:, :, None] & inside[1][:, None]
