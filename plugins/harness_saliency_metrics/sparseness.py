"""Sparseness of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import ConventionParams
from harness_saliency_metrics.maps import normalized
from harness_saliency_metrics.probabilities import explained
from harness_saliency_metrics.summaries import INVALID, mean


def gini(values: NDArray[np.float64]) -> float:
    """Gini index of n non-negative values, not all zero: 0 when all are equal, (n - 1) / n when one has everything.

    sum_k (2 k - n - 1) v_(k) / (n sum v), v_(1) <= ... <= v_(n) (Hurley & Rickard 2009, table II).
    """
    ordered = np.sort(values, axis=None)
    count = ordered.size
    return float((2 * np.arange(1, count + 1) - count - 1) @ ordered / (count * ordered.sum()))


class Sparseness:
    """Gini index of the absolute values of the raw map (Chalasani 2020); higher is sparser. Rows: value, invalid."""

    def __init__(self, params: ConventionParams) -> None:
        self.convention = params.convention_text

    def measure(self, samples: Samples) -> Table:
        maps = explained(samples).maps
        invalid = np.array([normalized(raw, "none") is None for raw in maps], np.bool_)
        values = [0.0 if bad else gini(_scaled(raw)) for raw, bad in zip(maps, invalid, strict=True)]
        return Table({"value": np.array(values, np.float64), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=True, convention=self.convention)})


def _scaled(raw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Magnitudes; float64 has room for the sum of any float32."""
    return np.abs(raw.astype(np.float64))
