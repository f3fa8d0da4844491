"""Top-k accuracy."""

from __future__ import annotations

import numpy as np

from harness.api import Samples, Scalar, Summary, Table, TaskMismatch
from harness_classification.logits import at, class_indices, logits_of
from harness_classification.params import TopKParams


class TopK:
    """Share of samples whose label is among the k highest logits.

    Equal logits rank by class index, lowest first, so that k = 1 agrees with argmax. Rows: rank (int64), the number of
    classes before the label. Raises TaskMismatch when k exceeds the number of classes.
    """

    def __init__(self, params: TopKParams) -> None:
        self.ks = params.k

    def measure(self, samples: Samples) -> Table:
        logits = logits_of(samples)
        classes = logits.shape[1]
        if max(self.ks) > classes:
            raise TaskMismatch(f"top-k with k = {max(self.ks)} needs as many classes, the model has {classes}; "
                               f"give smaller values: k = {[k for k in self.ks if k < classes] or [1]}")
        labels = class_indices(samples, classes)
        own = at(logits, labels)[:, None]
        before = (logits > own) | ((logits == own) & (np.arange(classes) < labels[:, None]))
        return Table({"rank": before.sum(axis=1, dtype=np.int64)})

    def summarize(self, rows: Table) -> Summary:
        n = rows.rows
        return Summary({
            f"@{k}": Scalar(value=float((rows.dense("rank") < k).mean()) if n else None, n=n, proportion=True)
            for k in self.ks
        })
