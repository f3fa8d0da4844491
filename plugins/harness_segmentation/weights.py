"""The border weight map (Ronneberger 2015, equation 2), computed once for each sample."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
_BUDGET = 512 * 2**20
"""Bytes of weight maps that are kept: 8,000 of 128 x 128 pixels."""


def weight_map(mask: Integers, objects: Integers, *, border: float, sigma: float, balance: bool, clip: float) -> Floats:
    """(H, W) weights: w_c(x) + border * exp(-(d1 + d2)^2 / (2 sigma^2)), at most `clip`, 0 where mask = -1.

    mask: (H, W) class indices; objects: (H, W) object numbers, 0 outside; d1, d2: distances in pixels of a background
    pixel to the nearest and the second nearest object. w_c: pixels / (classes * pixels of the class) over the classes
    that are present, 1 without `balance`.
    """
    weights = np.ones(mask.shape, np.float64)
    if balance:
        present, counts = np.unique(mask[mask >= 0], return_counts=True)
        for label, count in zip(present, counts, strict=True):
            weights[mask == label] = counts.sum() / (len(present) * count)
    if border > 0:
        nearest, second = two_distances(objects)
        gap = border * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
        weights += np.where(objects == 0, gap, 0)
    return np.where(mask >= 0, np.minimum(weights, clip), 0).astype(np.float32)


def two_distances(objects: Integers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, W) Euclidean distances in pixels to the nearest and the second nearest object; infinite where none is."""
    nearest, second = np.full(objects.shape, np.inf), np.full(objects.shape, np.inf)
    for number in np.unique(objects[objects > 0]):
        distance = ndimage.distance_transform_edt(objects != number)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    return nearest, second


def objects_of(mask: Integers, instances: Integers | None) -> Integers:
    """The given object numbers, or else the 4-connected components of what is not background."""
    if instances is not None:
        return instances
    return np.asarray(ndimage.label(mask > 0)[0], np.int32)


class WeightCache:
    """Weight maps by the content that they are made of, the least recently used ones forgotten beyond a budget.

    By content, because encoding sees targets but no ids, and targets may be read anew in every epoch.
    """

    def __init__(self, budget: int = _BUDGET) -> None:
        self.budget, self.bytes = budget, 0
        self._maps: OrderedDict[bytes, Floats] = OrderedDict()

    def get(self, mask: Integers, objects: Integers, make: Callable[[Integers, Integers], Floats]) -> Floats:
        digest = hashlib.blake2b(mask.tobytes(), digest_size=16)
        digest.update(objects.tobytes())
        key = digest.digest()
        if key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key]
        made = self._maps[key] = make(mask, objects)
        self.bytes += made.nbytes
        while self.bytes > self.budget and len(self._maps) > 1:
            self.bytes -= self._maps.popitem(last=False)[1].nbytes
        return made
