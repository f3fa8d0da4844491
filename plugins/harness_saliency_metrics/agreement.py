"""ADCC and its parts: average drop, coherency and complexity of one explanation (Poppi 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import AdccParams, CoherencyParams, ConventionParams
from harness_saliency_metrics.maps import Map, normalized
from harness_saliency_metrics.masking import masked, masked_inputs
from harness_saliency_metrics.probabilities import explain_of, explained, original, relevance, seeds_of
from harness_saliency_metrics.summaries import INVALID, mean


def complexity(samples: Samples) -> NDArray[np.float64]:
    """(N,) mean of each map, normalized to [0, 1] by its maximum: its L1 norm over the pixels; NaN if invalid."""
    return np.array([np.nan if each is None else each.mean(dtype=np.float64) for each in relevance(samples)])


def coherency(samples: Samples) -> NDArray[np.float64]:
    """(N,) Pearson correlation, moved to [0, 1], of each map with the map of the image seen through it.

    The second map is made with the draws of the first. NaN where one of the two is invalid.
    """
    return samples.once("harness_saliency_metrics.coherency", lambda: _coherency(samples))


def _coherency(samples: Samples) -> NDArray[np.float64]:
    result = np.full(len(samples.ids), np.nan)
    valid, inputs = masked_inputs(samples, "normalized")
    if not len(valid):
        return result
    classes, seeds = explained(samples).classes[valid], seeds_of(samples)
    again = explain_of(samples)(inputs, classes, [seeds[index] for index in valid])
    for index, second in zip(valid, again, strict=True):
        result[index] = _correlation(relevance(samples)[index], normalized(second, "max"))
    return (result + 1) / 2


def _correlation(one: Map | None, other: Map | None) -> float:
    if one is None or other is None:
        return np.nan
    a, b = (each.astype(np.float64).reshape(-1) - each.mean(dtype=np.float64) for each in (one, other))
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _rows(values: NDArray[np.float64], worst: float) -> Table:
    invalid = np.isnan(values)
    return Table({"value": np.where(invalid, worst, values), INVALID: invalid})


class Complexity:
    """Mean of the map, normalized to [0, 1] by its maximum; lower is better. Rows: value, invalid."""

    def __init__(self, params: ConventionParams) -> None:
        self.convention = params.convention_text

    def measure(self, samples: Samples) -> Table:
        return _rows(complexity(samples), 1.0)

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=False, convention=self.convention)})


class Coherency:
    """Does the map of the image seen through its map look the same? Rows: value, invalid."""

    def __init__(self, params: CoherencyParams) -> None:
        self.convention = params.convention_text

    def measure(self, samples: Samples) -> Table:
        return _rows(coherency(samples), 0.0)

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=True, convention=self.convention)})


class Adcc:
    """Harmonic mean of coherency, 1 - complexity and 1 - average drop of each image; 0 when one of them is 0.

    Rows: value, invalid.
    """

    def __init__(self, params: AdccParams) -> None:
        self.convention = params.convention_text

    def measure(self, samples: Samples) -> Table:
        before, after = original(samples).target, masked(samples, "normalized").target
        kept = np.minimum(np.divide(after, before, out=np.ones_like(after), where=before > 0), 1)
        parts = np.stack([coherency(samples), 1 - complexity(samples), kept])
        inverse = np.divide(1, parts, out=np.full_like(parts, np.inf), where=parts != 0)  # NaN stays NaN
        return _rows(3 / inverse.sum(axis=0), 0.0)

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=True, convention=self.convention)})
