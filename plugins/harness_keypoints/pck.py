"""Percentage of correct keypoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import Curve, Samples, Scalar, Summary, Table
from harness_keypoints.distances import measure_distances
from harness_keypoints.params import PckParams

CONVENTION = "visible-diagonal"
AREA_LIMIT = 0.5
"""The area under the PCK curve is taken from 0 to this fraction and divided by it."""


class Pck:
    """Percentage of correct keypoints (Yang and Ramanan 2013, with the figure's diagonal as its size).

    A visible keypoint is correct when its Euclidean error is at most fraction * d, d the diagonal in pixels of the
    tight box of that figure's visible ground-truth keypoints. A figure with d = 0 is not evaluable and counted.

    Results, n = visible keypoints and n_invalid = figures that could not be evaluated:
        pck@0.05            all keypoints, for each fraction
        pck.left-hand@0.05  one keypoint, for each fraction
        pck.auc             area under the curve of PCK over fractions 0 to 0.5, divided by 0.5
        pck.mean-error, pck.median-error   pixels, over all visible keypoints, d = 0 included
    """

    def __init__(self, params: PckParams) -> None:
        self.fractions = tuple(params.fractions)

    def measure(self, samples: Samples) -> Table:
        """Columns: error (N, K) pixels, visible (N, K), diagonal (N,) pixels, keypoint (N, K) names."""
        distances = measure_distances(samples)
        names = np.tile(np.array(distances.names), (len(distances.error), 1))
        return Table({"error": distances.error, "visible": distances.visible, "diagonal": distances.diagonal,
                      "keypoint": names})

    def summarize(self, rows: Table) -> Summary:
        error, visible, diagonal = rows.dense("error"), rows.dense("visible"), rows.dense("diagonal")
        evaluable = visible & (diagonal > 0)[:, None]
        invalid = int((~evaluable.any(axis=1)).sum())
        relative = np.divide(error, diagonal[:, None], out=np.full_like(error, np.inf), where=evaluable)
        scalars = dict(self._shares(error, diagonal, evaluable, invalid, ""))
        keypoints = rows.dense("keypoint")[0] if rows.rows else ()
        for k, name in enumerate(keypoints):
            scalars.update(self._shares(error[:, k : k + 1], diagonal, evaluable[:, k : k + 1], invalid, f".{name}"))
        reached = np.sort(relative[evaluable])
        scalars[".auc"] = _area(reached, invalid)
        scalars.update(_pixel_errors(error, visible))
        return Summary(scalars, {"": _curve(reached)} if len(reached) else {})

    def _shares(self, error: NDArray[np.float64], diagonal: NDArray[np.float64], evaluable: NDArray[np.bool_],
                invalid: int, part: str) -> Iterator[tuple[str, Scalar]]:
        n = int(evaluable.sum())
        for fraction in self.fractions:
            correct = int(((error <= fraction * diagonal[:, None]) & evaluable).sum())
            yield f"{part}@{fraction:g}", Scalar(value=correct / n if n else None, n=n, n_invalid=invalid,
                                                 convention=CONVENTION, proportion=True, detail=bool(part))


def _area(reached: NDArray[np.float64], invalid: int) -> Scalar:
    """The curve is a step function: each keypoint adds the part of [0, limit] that lies right of its error."""
    value = float(np.clip(1 - reached / AREA_LIMIT, 0, 1).mean()) if len(reached) else None
    return Scalar(value=value, n=len(reached), n_invalid=invalid, convention=CONVENTION)


def _curve(reached: NDArray[np.float64]) -> Curve:
    x = np.linspace(0, AREA_LIMIT, 101)
    y = np.searchsorted(reached, x, side="right") / len(reached)
    return Curve(x=x.tolist(), y=y.tolist(), x_label="fraction of the figure's diagonal", y_label="PCK")


def _pixel_errors(error: NDArray[np.float64], visible: NDArray[np.bool_]) -> Iterator[tuple[str, Scalar]]:
    pixels: Sequence[float] | NDArray[np.float64] = error[visible]
    invalid = int((~visible.any(axis=1)).sum())
    for name, function in ((".mean-error", np.mean), (".median-error", np.median)):
        value = float(function(pixels)) if len(pixels) else None
        yield name, Scalar(value=value, n=len(pixels), n_invalid=invalid, higher_is_better=False, unit="px")
