"""RISE: random masks, weighed by the score of what they show (Petsiuk, Das & Saenko 2018, section 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelHandle, scaling_weights
from harness_saliency.host_params import RiseParams
from harness_saliency.perturbing import Floats, baseline, class_scores, mixed, pieces


class Rise:
    """(N, h, w) float32: the sum of score * mask over the masks, divided by their number and by `keep` (equation 6).

    A mask is a grid of cells x cells, each 1 with probability `keep`, enlarged by bilinear interpolation to cells + 1
    cells in each direction and cut at a random offset of less than a cell (section 3.2). Every sample draws its own
    masks by its seed; the authors' program shares one set between images.
    """

    def __init__(self, params: RiseParams) -> None:
        self.params = params

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        return np.stack([self._map(model, image, int(class_), seed)
                         for image, class_, seed in zip(inputs, classes, seeds, strict=True)])

    def _map(self, model: ModelHandle, image: Floats, class_: int, seed: int) -> Floats:
        params, spec = self.params, model.card.input
        masks = Masks(params, spec.size, seed)
        other = baseline(image, params.baseline, spec)
        total = np.zeros(spec.size)
        for piece in pieces(params.masks, model, params):
            drawn = masks[piece]
            scores = class_scores(model, mixed(image, other, drawn, spec), class_, params.score)
            total += np.tensordot(scores.astype(np.float32), drawn, 1)
        return (total / (params.masks * params.keep)).astype(np.float32)


class Masks:
    """The masks of one sample, made when they are asked for: a slice gives (B, h, w) float32 in [0, 1]."""

    def __init__(self, params: RiseParams, size: tuple[int, int], seed: int) -> None:
        rng = np.random.default_rng(seed)
        cells = params.cells
        cell = [math.ceil(side / cells) for side in size]
        self.grids = (rng.random((params.masks, cells, cells), np.float32) < params.keep).astype(np.float32)
        self.offsets = rng.integers(0, cell, (params.masks, 2))
        self._rows, self._columns = (scaling_weights((cells + 1) * each, cells) for each in cell)
        self._size = size

    def __getitem__(self, piece: slice) -> Floats:
        tops, lefts = self.offsets[piece].T
        rows = self._rows[tops[:, None] + np.arange(self._size[0])]
        columns = self._columns[lefts[:, None] + np.arange(self._size[1])]
        masks: Floats = rows @ self.grids[piece] @ columns.transpose(0, 2, 1)
        return masks
