"""From the parameter `threshold` to a level set of a map."""

from __future__ import annotations

import numpy as np

from harness_saliency_metrics.cases import Case, levels_at
from harness_saliency_metrics.localization_params import ThresholdParams


def level_of(case: Case, params: ThresholdParams) -> int:
    """The level set {S >= t} of a valid map; -1 when it is empty (a number above the maximum).

    mean: t is the mean in float64, of the raw map (its level set is that of the min-max scaled one), or of what
    normalize = "max" leaves. area: as many pixels as the normalized map's sum (at least one), and those equal to the
    last. A number is compared with the normalized map in float32.
    """
    if params.threshold == "mean":
        if params.normalize != "max":
            return case.mean_level
        values = np.maximum(case.ranking.values, 0)
        return int(np.count_nonzero(values >= np.maximum(case.raw, 0).mean(dtype=np.float64))) - 1
    if params.threshold == "area":
        scaled = case.normalized(params.normalize)
        area = 0.0 if scaled is None else float(scaled.sum(dtype=np.float64))
        counts = case.ranking.counts
        return min(int(np.searchsorted(counts, max(1, round(area)))), len(counts) - 1)
    return int(levels_at(case.level_values(params.normalize), np.array([params.threshold]))[0])
