"""How the learning rate changes over a training: a pure function of the step, so that any step can be the first."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.trainable import Recipe

ONE_CYCLE_RISE = 0.3
"""Share of the steps in which one-cycle rises (Smith 2018, and the default of torch's OneCycleLR)."""
_START, _END = 1 / 25, 1 / 25e4
"""Of the highest learning rate, where one-cycle starts and ends."""


def learning_rate(recipe: Recipe, step: int, total: int) -> float:
    """Of one optimizer step, counted from 0, out of `total`.

    constant: recipe.lr after a linear warm-up; cosine: from there half a cosine to zero (Loshchilov 2017, without
    restarts); one-cycle: half a cosine from lr / 25 up to lr and another down to lr / 250,000.
    """
    if recipe.schedule == "one-cycle":
        rise = ONE_CYCLE_RISE if recipe.warmup is None else recipe.warmup
        return recipe.lr * _one_cycle(step, total, rise)
    warmup = (recipe.warmup or 0.0) * total
    if step < warmup:
        return recipe.lr * (step + 1) / (math.floor(warmup) + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * _cosine(1.0, 0.0, (step - warmup) / max(1.0, total - warmup))


def _one_cycle(step: int, total: int, rise: float) -> float:
    peak, last = rise * total - 1, total - 1
    if step <= peak:
        return _cosine(_START, 1.0, step / peak if peak > 0 else 1.0)
    return _cosine(1.0, _END, (step - peak) / (last - peak) if last > peak else 1.0)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
