"""A dataset's samples at a model's input size, in memory: what training, export and verification work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.card import InputSpec
from harness.contracts import Dataset
from harness.errors import DataError
from harness.geometry import Fit, fit_image, normalize
from harness.tasks import Target

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Prepared:
    """pixels: (N, h, w, C) uint8 in the model's size and color order; fits: how each native image was placed."""

    pixels: NDArray[np.uint8]
    targets: Sequence[Target]
    fits: Sequence[Fit]
    ids: Sequence[str]
    input: InputSpec

    @classmethod
    def load(cls, dataset: Dataset, spec: InputSpec, indices: Sequence[int] | None = None) -> Prepared:
        """Read the samples at the given indices (all by default).

        Kept as uint8, a quarter of what the model sees. Raises DataError when one can not be read or none is there.
        """
        pixels: list[NDArray[np.uint8]] = []
        targets: list[Target] = []
        fits: list[Fit] = []
        ids: list[str] = []
        for batch in dataset.batches(_CHUNK, indices):
            if batch.unreadable:
                first = batch.unreadable[0]
                raise DataError(f"{len(batch.unreadable)} samples can not be read, the first is {first.id}: "
                                f"{first.reason}; repair or remove them")
            for image in batch.images:
                placed, fit = fit_image(image, spec)
                pixels.append(placed)
                fits.append(fit)
            targets += batch.targets
            ids += batch.ids
        if not pixels:
            raise DataError(f"the dataset {type(dataset).__name__} has no samples")
        return cls(np.stack(pixels), targets, fits, ids, spec)

    @classmethod
    def concat(cls, parts: Sequence[Prepared]) -> Prepared:
        """All samples of all parts, which share one InputSpec."""
        return cls(np.concatenate([part.pixels for part in parts]), [each for part in parts for each in part.targets],
                   [each for part in parts for each in part.fits], [each for part in parts for each in part.ids],
                   parts[0].input)

    def __len__(self) -> int:
        return len(self.pixels)

    def inputs(self, indices: Sequence[int] | slice) -> NDArray[np.float32]:
        """(n, C, h, w) or (n, h, w, C) float32 as the model sees them."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices, np.int64)
        return normalize(self.pixels[chosen], self.input)

    def take(self, indices: Sequence[int]) -> Prepared:
        """Only the given samples, in that order."""
        return Prepared(self.pixels[np.asarray(indices, np.int64)], [self.targets[i] for i in indices],
                        [self.fits[i] for i in indices], [self.ids[i] for i in indices], self.input)
