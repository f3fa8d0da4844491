"""KernelSHAP on superpixels: Shapley values by weighted least squares (Lundberg & Lee 2017, theorem 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelHandle
from harness_saliency.host_params import KernelShapParams
from harness_saliency.perturbing import Floats, baseline, class_scores, mixed, pieces

Bools = NDArray[np.bool_]


class KernelShap:
    """(N, h, w) float32: each pixel has the Shapley value of its superpixel; signed.

    The players are the rectangles of a grid; an absent one shows the baseline. The values add up to the score of the
    image less that of the baseline.
    """

    def __init__(self, params: KernelShapParams) -> None:
        self.params = params

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        return np.stack([self._map(model, image, int(class_), seed)
                         for image, class_, seed in zip(inputs, classes, seeds, strict=True)])

    def _map(self, model: ModelHandle, image: Floats, class_: int, seed: int) -> Floats:
        params, spec = self.params, model.card.input
        segments = grid_segments(spec.size, params.grid)
        players = int(segments.max()) + 1
        game = coalitions(players, params.samples, np.random.default_rng(seed))
        shown = np.concatenate([np.array([[False], [True]]).repeat(players, axis=1), game.members])
        other = baseline(image, params.baseline, spec)
        scores = np.concatenate([
            class_scores(model, mixed(image, other, shown[piece].astype(np.float32)[:, segments], spec), class_,
                         params.score)
            for piece in pieces(len(shown), model, params)])
        values = shapley_values(game, scores[2:], scores[0], scores[1])
        return values[segments].astype(np.float32)


class Coalitions(NamedTuple):
    """members: (S, M) bool, neither empty nor full; weights: (S,) of the regression."""

    members: Bools
    weights: NDArray[np.float64]


def grid_segments(size: tuple[int, int], grid: tuple[int, int]) -> NDArray[np.int64]:
    """(h, w) number of each pixel's rectangle, row by row; sides differ by one pixel at most."""
    rows, columns = (np.arange(side) * min(count, side) // side for side, count in zip(size, grid, strict=True))
    return np.asarray(rows[:, None] * min(grid[1], size[1]) + columns[None], np.int64)


def coalitions(players: int, samples: int, rng: np.random.Generator) -> Coalitions:
    """At most `samples` coalitions whose weights follow the Shapley kernel.

    A coalition of size s has the kernel's weight (M - 1) / (binom(M, s) s (M - s)). As in the authors' program, sizes
    are taken in pairs (1 and M - 1, 2 and M - 2, ...), as long as all coalitions of a pair can be afforded; what weight
    is left is spread over coalitions drawn by it, each with its complement.
    """
    sizes = np.arange(1, players)
    mass = dict(zip(sizes.tolist(), ((players - 1) / (sizes * (players - sizes))).tolist(), strict=True))
    members: list[Bools] = []
    weights: list[float] = []
    for size in range(1, players // 2 + 1):
        pair = {size, players - size}
        count = sum(math.comb(players, each) for each in pair)
        if count > samples - len(members):
            break
        for each in pair:
            members += [_coalition(players, chosen) for chosen in combinations(range(players), each)]
            weights += [mass[each] / math.comb(players, each)] * math.comb(players, each)
            del mass[each]
    draws = (samples - len(members)) // 2
    if mass and draws:
        chosen = rng.choice(list(mass), draws, p=np.array(list(mass.values())) / sum(mass.values()))
        drawn = [_coalition(players, rng.permutation(players)[:size].tolist()) for size in chosen]
        members += [each for one in drawn for each in (one, ~one)]
        weights += [sum(mass.values()) / (2 * draws)] * (2 * draws)
    return Coalitions(np.array(members, bool).reshape(-1, players), np.array(weights))


def shapley_values(game: Coalitions, scores: NDArray[np.float64], empty: float, full: float) -> NDArray[np.float64]:
    """(M,) values that explain the scores best in the weighted least squares, and add up to full - empty.

    scores: (S,) of the coalitions. The sum is kept by solving for all players but the last.
    """
    last = game.members[:, -1].astype(np.float64)
    design = game.members[:, :-1] - last[:, None]
    target = scores - empty - last * (full - empty)
    root = np.sqrt(game.weights)
    values, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    return np.append(values, full - empty - values.sum())


def _coalition(players: int, chosen: Sequence[int]) -> Bools:
    members = np.zeros(players, bool)
    members[list(chosen)] = True
    return members
