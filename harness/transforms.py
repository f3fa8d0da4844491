"""Derived datasets: the same samples with their images perturbed.

In a suite: `transforms = [{ kind = "noise", sigma = 0.1 }, { kind = "blur", sigma = 2.0 }]`, applied in this order to
the native images. Targets do not change. numpy and scipy are imported when the first image is transformed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from harness.contracts import Batch, Dataset
from harness.params import Params

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


class Noise(Params):
    """Additive Gaussian noise."""

    kind: Literal["noise"]
    sigma: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Standard deviation as a fraction of the full range (255)."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        from harness.perturb import noise

        return noise(image, self.sigma, rng)


class Blur(Params):
    """Gaussian blur."""

    kind: Literal["blur"]
    sigma: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Standard deviation in native pixels."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:  # noqa: ARG002
        from harness.perturb import blur

        return blur(image, self.sigma)


class Contrast(Params):
    """Contrast about the image's mean."""

    kind: Literal["contrast"]
    factor: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """0 leaves the mean alone, 1 changes nothing, more than 1 strengthens."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:  # noqa: ARG002
        from harness.perturb import contrast

        return contrast(image, self.factor)


class Occlusion(Params):
    """One gray rectangle at a random place."""

    kind: Literal["occlusion"]
    fraction: Annotated[float, Field(ge=0, le=1)]
    """Share of the image's area that is covered."""
    value: Annotated[int, Field(ge=0, le=255)] = 127
    """Gray value of the rectangle."""

    def apply(self, image: Image, rng: np.random.Generator) -> Image:
        from harness.perturb import occlude

        return occlude(image, self.fraction, self.value, rng)


Transform = Annotated[Noise | Blur | Contrast | Occlusion, Field(discriminator="kind")]
"""One entry of `transforms` in a suite."""


class TransformedDataset:
    """A dataset whose images pass through transforms.

    Every image's randomness depends on (seed, sample id, position of the transform) alone: neither the batch size nor
    the selection of samples changes it. The fingerprint is that of the base; seed and transforms belong to the suite.
    """

    def __init__(self, base: Dataset, transforms: Sequence[Transform], seed: int = 0) -> None:
        self._base = base
        self._transforms = tuple(transforms)
        self._seed = seed

    def __len__(self) -> int:
        return len(self._base)

    def batches(self, size: int, indices: Sequence[int] | None = None) -> Iterator[Batch]:
        for batch in self._base.batches(size, indices):
            images = [self._apply(image, id_) for image, id_ in zip(batch.images, batch.ids, strict=True)]
            yield replace(batch, images=images)

    def fingerprint(self) -> str:
        return self._base.fingerprint()

    def _apply(self, image: Image, id_: str) -> Image:
        for position, transform in enumerate(self._transforms):
            image = transform.apply(image, self._rng(id_, position))
        return image

    def _rng(self, id_: str, position: int) -> np.random.Generator:
        import numpy as np

        digest = hashlib.sha256(f"{self._seed}\0{position}\0{id_}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))
