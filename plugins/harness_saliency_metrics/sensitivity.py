"""How much a map changes with the input, where it should not."""

from __future__ import annotations

import numpy as np

from harness.api import Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import MaxSensitivityParams
from harness_saliency_metrics.maps import normalized
from harness_saliency_metrics.probabilities import draws, explain_of, explained, seeds_of
from harness_saliency_metrics.summaries import INVALID, mean


class MaxSensitivity:
    """The largest change of the map, relative to its own norm, under small uniform noise on the input (Yeh 2019).

    max over draws of |S(x + e) - S(x)| / |S(x)|, Frobenius norms of raw maps, |e| <= radius in each value; the draws of
    the generator itself stay the same. Lower is better; an invalid map scores 2. Rows: value, invalid.
    """

    def __init__(self, params: MaxSensitivityParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        given, radius = explained(samples), self.params.radius
        maps = given.maps.astype(np.float64)
        invalid = np.array([normalized(raw, "none") is None for raw in given.maps], np.bool_)
        worst = np.zeros(len(maps))
        rngs = [draws(samples, index, "max-sensitivity") for index in range(len(maps))]
        for _ in range(self.params.draws):
            noise = np.stack([rng.uniform(-radius, radius, given.inputs.shape[1:]) for rng in rngs])
            moved = np.asarray(given.inputs + noise, np.float32)
            change = explain_of(samples)(moved, given.classes, seeds_of(samples)) - maps
            worst = np.maximum(worst, np.sqrt(np.square(change).sum(axis=(1, 2))))  # NaN stays NaN
        invalid |= ~np.isfinite(worst)
        norm = np.sqrt(np.square(maps).sum(axis=(1, 2)))
        return Table({"value": np.where(invalid, 2.0, worst / np.where(invalid, 1, norm)), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=False, convention=self.params.convention_text,
                                 unit="relative change")})
