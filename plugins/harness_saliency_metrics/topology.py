"""From a warp to numbers, and from the numbers of many images to results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.api import Scalar
from harness_saliency_metrics.mismatches import Kind, classify
from harness_saliency_metrics.warping import Warp

_NAMES = [kind.name.lower().replace("_", "-") for kind in Kind]
PARTS = {"": "fraction", ".pixel-error": "fraction", **{f"@{name}s": "errors" for name in _NAMES},
         **{f"@{name}-pixels": "pixels" for name in _NAMES}}
"""Result suffix -> unit: the error, the pixel error before warping, and the errors and pixels of each kind."""
WORST = {part: 1.0 if unit == "fraction" else np.nan for part, unit in PARTS.items()}
"""There is no worst number of errors: images without a usable prediction are left out of these means."""


def scores(warp: Warp) -> list[float]:
    """One number for each of PARTS."""
    errors = classify(warp)
    before = float(np.mean(warp.source != (warp.warped ^ warp.mismatches)))
    return [warp.error, before, *map(float, errors.clusters), *map(float, errors.pixels)]


def results(values: NDArray[np.float64], scalar: Callable[[float | None], Scalar]) -> dict[str, Scalar]:
    """(n, W) rows -> a scalar for each of PARTS; scalar: makes that of the error."""
    found = {}
    for part, column in zip(PARTS, values.T if len(values) else np.zeros((len(PARTS), 0)), strict=True):
        kept = column[~np.isnan(column)]
        made = scalar(float(kept.mean()) if len(kept) else None)
        counted = PARTS[part] != "fraction"
        found[part] = replace(made, n=len(kept), unit=PARTS[part], detail=True) if counted else made
    return found
