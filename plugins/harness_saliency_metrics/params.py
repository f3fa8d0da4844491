"""What a suite can say about the metrics of this package: what all of them share."""

from __future__ import annotations

from typing import Literal

from harness.api import Params

Kind = Literal["box", "mask"]
Normalization = Literal["min-max", "max", "none"]


class RegionParams(Params):
    """Parameters of a metric that compares maps with boxes and masks."""

    region: Literal["both", "box", "mask"] = "both"
    """What a map is compared with; each has a result of its own, "NAME.box" and "NAME.mask"."""

    @property
    def regions(self) -> tuple[Kind, ...]:
        return ("box", "mask") if self.region == "both" else (self.region,)

    @property
    def suffixes(self) -> dict[Kind, str]:
        """The result suffix of each region."""
        return {kind: f".{kind}" for kind in self.regions}

    @property
    def requires(self) -> frozenset[str]:
        """What the metric needs with these params; of boxes and mask, one is enough for both."""
        needed = {"both": {"boxes", "mask"}, "box": {"boxes"}, "mask": {"mask"}}[self.region]
        return frozenset({"saliency", *needed})
