"""Occlusion sensitivity: how much the score drops when a patch is covered (Zeiler & Fergus 2014, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelHandle
from harness_saliency.host_params import OcclusionParams
from harness_saliency.perturbing import Floats, baseline, class_scores, mixed, pieces


class Occlusion:
    """(N, h, w) float32: for each pixel, the mean drop over the patches that cover it; signed.

    Patches start every `stride` pixels, the last ones flush with the border, so that every pixel is covered. The paper
    plots the score itself at the patch's place; the drop has the same shape, upside down, and evidence is positive.
    """

    def __init__(self, params: OcclusionParams) -> None:
        self.params = params

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        del seeds
        return np.stack([self._map(model, image, int(class_)) for image, class_ in zip(inputs, classes, strict=True)])

    def _map(self, model: ModelHandle, image: Floats, class_: int) -> Floats:
        size, spec, params = model.card.input.size, model.card.input, self.params
        window = min(params.window or max(1, min(size) // 6), *size)
        corners = _corners(size, window, params.stride or max(1, window // 2))
        other = baseline(image, params.baseline, spec)
        whole = class_scores(model, image[None], class_, params.score)[0]
        total, count = np.zeros(size), np.zeros(size)
        for piece in pieces(len(corners), model, params):
            shown = np.ones((piece.stop - piece.start, *size), np.float32)
            for mask, (top, left) in zip(shown, corners[piece], strict=True):
                mask[top : top + window, left : left + window] = 0
            scores = class_scores(model, mixed(image, other, shown, spec), class_, params.score)
            for score, (top, left) in zip(scores, corners[piece], strict=True):
                total[top : top + window, left : left + window] += whole - score
                count[top : top + window, left : left + window] += 1
        return (total / count).astype(np.float32)


def _corners(size: tuple[int, int], window: int, stride: int) -> list[tuple[int, int]]:
    """(top, left) of each patch. A stride beyond the window would leave gaps, so that the window is the largest."""
    step = min(stride, window)
    rows, columns = (sorted({*range(0, side - window, step), side - window}) for side in size)
    return [(top, left) for top in rows for left in columns]
