"""ROAD: remove and debias (Rong 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Samples, Summary, Table
from harness_saliency_metrics.faithfulness_params import RoadParams
from harness_saliency_metrics.imputation import impute
from harness_saliency_metrics.ordering import orders
from harness_saliency_metrics.probabilities import draws, explained, pieces, predicted_stream
from harness_saliency_metrics.summaries import INVALID, mean, mean_curve

Side = Literal["morf", "lerf"]
_WORST = {"morf": 1.0, "lerf": 0.0}


class Road:
    """Probability of the class after removal and imputation of the most (MoRF) or least (LeRF) relevant pixels.

    Results: road, half the difference LeRF - MoRF of the means over all shares removed, -.5 to .5; road.morf (lower is
    better), road.lerf (higher is better), and their curves. Rows: value, morf and lerf (K), removed (K), invalid.
    """

    def __init__(self, params: RoadParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        shares = np.array(self.params.removed)
        count = len(samples.ids)
        found = {side: np.full((count, len(shares)), np.nan) for side in _WORST}
        for index, order in enumerate(orders(samples)):
            if order is None:
                continue
            for side, ranked in (("morf", order), ("lerf", order[::-1])):
                images = self._imputed(samples, index, ranked, side)
                found[side][index] = predicted_stream(samples, images, explained(samples).classes[index])
        invalid = np.isnan(found["morf"][:, 0])
        means = {side: np.where(invalid, worst, found[side].mean(axis=1)) for side, worst in _WORST.items()}
        return Table({"value": (means["lerf"] - means["morf"]) / 2, **means, "morf curve": found["morf"],
                      "lerf curve": found["lerf"], "removed": np.tile(shares, (count, 1)), INVALID: invalid})

    def _imputed(self, samples: Samples, index: int, ranked: NDArray[np.int64],
                 side: str) -> Iterator[NDArray[np.float32]]:
        given = explained(samples)
        image = given.inputs[index]
        planes = np.moveaxis(image, -1, 0) if given.channels_last else image
        rng = draws(samples, index, f"road.{side}")
        made = np.empty((len(self.params.removed), *planes.shape), np.float32)
        for each, share in zip(made, self.params.removed, strict=True):
            removed = np.zeros(planes.shape[1:], np.bool_)
            removed.reshape(-1)[ranked[:_count(share, removed.size)]] = True
            each[:] = impute(planes, removed)
            if self.params.noise:
                each[:, removed] += rng.normal(0, self.params.noise, (len(planes), np.count_nonzero(removed)))
        return pieces(np.ascontiguousarray(np.moveaxis(made, 1, -1)) if given.channels_last else made)

    def summarize(self, rows: Table) -> Summary:
        text = self.params.convention_text
        scalars = {"": mean(rows, higher_is_better=True, convention=text),
                   ".morf": mean(rows, "morf", higher_is_better=False, convention=text),
                   ".lerf": mean(rows, "lerf", higher_is_better=True, convention=text)}
        curves = {}
        for side in _WORST:
            y = mean_curve(rows, f"{side} curve")
            if len(y):
                curves[f".{side}"] = Curve(x=rows.dense("removed")[0].tolist(), y=y.tolist(),
                                           x_label="share of pixels removed", y_label="probability of the class")
        return Summary(scalars, curves)


def _count(share: float, pixels: int) -> int:
    """Pixels removed, at most all but one: something has to be left to impute from."""
    return min(round(share * pixels), pixels - 1)
