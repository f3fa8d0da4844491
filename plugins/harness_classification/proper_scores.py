"""Proper scores of the predicted probabilities: negative log-likelihood and Brier score."""

from __future__ import annotations

import numpy as np

from harness.api import Params, Samples, Scalar, Summary, Table
from harness_classification.logits import at, class_indices, log_softmax, logits_of, softmax


class NegativeLogLikelihood:
    """Mean of -ln p(label), softmax in float64; in nats, lower is better. Rows: nll (float64)."""

    def __init__(self, params: Params) -> None:
        pass

    def measure(self, samples: Samples) -> Table:
        logits = logits_of(samples)
        labels = class_indices(samples, logits.shape[1])
        return Table({"nll": -at(log_softmax(logits), labels)})

    def summarize(self, rows: Table) -> Summary:
        return _mean(rows, "nll", "nat", "natural-log")


class Brier:
    """Mean over samples of the squared Euclidean distance to the one-hot vector, 0 to 2; lower is better.

    Brier 1950, equation 2: summed, not averaged, over the classes. Rows: brier (float64).
    """

    def __init__(self, params: Params) -> None:
        pass

    def measure(self, samples: Samples) -> Table:
        logits = logits_of(samples)
        labels = class_indices(samples, logits.shape[1])
        distance = softmax(logits)
        distance[np.arange(len(labels)), labels] -= 1
        return Table({"brier": np.square(distance).sum(axis=1)})

    def summarize(self, rows: Table) -> Summary:
        return _mean(rows, "brier", "squared distance", "sum-over-classes")


def _mean(rows: Table, column: str, unit: str, convention: str) -> Summary:
    value = float(rows.dense(column).mean()) if rows.rows else None
    return Summary({"": Scalar(value=value, n=rows.rows, higher_is_better=False, unit=unit, convention=convention)})
