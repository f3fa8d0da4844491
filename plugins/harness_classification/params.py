"""What a suite can say about the plugins of this package."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from harness.api import Params, SuitePath

Positive = Annotated[int, Field(gt=0)]


class OxfordPetParams(Params):
    root: SuitePath
    """Folder of the official layout (images/, annotations/) or of the flat one (images/, trimaps/)."""
    split: Literal["all", "trainval", "test"] = "all"
    """The official lists under annotations/; the flat layout has "all" only."""
    breeds: list[str] | None = None
    """Only these breeds, named as in the files (Egyptian_Mau); all by default."""
    count: Positive | None = None
    """At most so many samples, evenly spaced over the sorted names; all by default."""


class TopKParams(Params):
    k: list[Positive] = Field([1, 5], min_length=1)
    """A sample counts when its label is among the k highest logits; one result per value, "top-k@1"."""

    @field_validator("k")
    @classmethod
    def _distinct(cls, values: list[int]) -> list[int]:
        if len(set(values)) < len(values):
            raise ValueError("the values of k must differ")
        return values


class EceParams(Params):
    bins: Positive = 15
    """Number of equally wide bins of the top-1 probability."""
