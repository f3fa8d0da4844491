"""What the localization metrics share: rows for each map and region, maps that say nothing, means over images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Scalar, Summary, Table, TaskMismatch
from harness_saliency_metrics.cases import Case, cases
from harness_saliency_metrics.params import Kind, Normalization
from harness_saliency_metrics.regions import Region

Floats = NDArray[np.float64]
LEFT_OUT, JUDGED, INVALID = 0, 1, 2
"""States of a row: nothing to be found (or nothing to be told apart), judged, scored as the worst."""


@dataclass(frozen=True, slots=True)
class Found:
    """A valid map with something to be found. samples: its batch; index: its place there."""

    samples: Samples
    index: int
    case: Case
    region: Region


class Judged(NamedTuple):
    """The rows of one region that count: values (n, W), how many of them are of invalid maps, and images left out."""

    values: Floats
    invalid: int
    left_out: int

    @classmethod
    def of(cls, rows: Table, kind: Kind) -> Judged:
        if not rows.rows:
            return cls(np.empty((0, 0)), 0, 0)
        state = rows.dense(f"{kind}.state")
        kept, values = state != LEFT_OUT, rows.dense(kind)
        left_out = int(np.count_nonzero(~kept))
        # Called for each replicate of a bootstrap: no copy without need.
        return cls(values[kept] if left_out else values, int(np.count_nonzero(state == INVALID)), left_out)


class RegionRows(ABC):
    """A metric with W numbers for each map and region.

    regions: the kinds that are compared and their result suffix; worst: (W,) the row of an invalid map; normalize: what
    decides whether a map is invalid; annotated: whether the metric needs boxes or masks at all.
    """

    annotated: ClassVar[bool] = True

    def __init__(self, regions: Mapping[Kind, str], worst: Sequence[float] | Floats, normalize: Normalization) -> None:
        self.regions, self.worst, self.normalize = regions, np.array(worst, np.float64), normalize

    def measure(self, samples: Samples) -> Table:
        """Columns box, mask: (N, W) float64; box.state, mask.state: int8.

        Raises TaskMismatch when no sample has a box (or a mask), though only that is asked for.
        """
        columns: dict[str, NDArray[np.generic]] = {}
        for kind in self.regions:
            self._check(samples, kind)
            columns[kind], columns[f"{kind}.state"] = self._region(samples, kind)
        return Table(columns)

    @abstractmethod
    def rows(self, found: Sequence[Found]) -> Floats:
        """(len(found), W); a row of NaN leaves the image out."""

    @abstractmethod
    def summarize(self, rows: Table) -> Summary: ...

    def region_of(self, case: Case, kind: Kind) -> Region | None:
        """What is to be found; None leaves the image out."""
        return case.truth.region(kind)

    def worst_row(self, region: Region) -> Floats:  # noqa: ARG002  for rows that depend on the object
        """(W,) the row of an invalid map."""
        return self.worst

    def _region(self, samples: Samples, kind: Kind) -> tuple[Floats, NDArray[np.int8]]:
        values = np.full((len(samples.ids), len(self.worst)), np.nan)
        state = np.full(len(samples.ids), LEFT_OUT, np.int8)
        found = []
        for index, case in enumerate(cases(samples)):
            region = self.region_of(case, kind)
            if region is None:
                continue
            if case.normalized(self.normalize) is None:
                state[index], values[index] = INVALID, self.worst_row(region)
            else:
                found.append(Found(samples, index, case, region))
        if found:
            where = [each.index for each in found]
            values[where] = self.rows(found)
            state[where] = np.where(np.isnan(values[where]).all(axis=1), LEFT_OUT, JUDGED)
        return values, state

    def _check(self, samples: Samples, kind: Kind) -> None:
        if self.annotated and len(self.regions) == 1 and not any(case.truth.annotated(kind) for case in cases(samples)):
            what = "boxes" if kind == "box" else "masks"
            raise TaskMismatch(f"the metric needs {what}, which these samples do not have; choose another region "
                               "or leave the metric out")


class MeanScores(RegionRows):
    """Means over images of scores. parts: result suffix, "" first -> the score of an invalid map.

    Results, x the metric's name: x.box, x.mask with each part's suffix, and x.box.left-out: images without an object.
    """

    def __init__(self, regions: Mapping[Kind, str], parts: Mapping[str, float], normalize: Normalization, *,
                 convention: str, higher_is_better: bool = True, proportion: bool = False,
                 unit: str = "fraction") -> None:
        super().__init__(regions, list(parts.values()), normalize)
        self.parts, self.convention, self.unit = tuple(parts), convention, unit
        self.higher_is_better, self.proportion = higher_is_better, proportion

    def rows(self, found: Sequence[Found]) -> Floats:
        return np.array([self.score(each) for each in found], np.float64).reshape(len(found), -1)

    def score(self, found: Found) -> Sequence[float]:
        """One number for each part. A metric overrides this or `rows`."""
        raise NotImplementedError

    def summarize(self, rows: Table) -> Summary:
        scalars: dict[str, Scalar] = {}
        for kind, suffix in self.regions.items():
            judged = Judged.of(rows, kind)
            for column, part in enumerate(self.parts):
                value = self.mean(rows, kind, judged.values[:, column]) if len(judged.values) else None
                scalars[suffix + part] = self.scalar(value, judged)
            scalars[f"{suffix}.left-out"] = left_out(judged)
        return Summary(scalars)

    def mean(self, rows: Table, kind: Kind, values: Floats) -> float:  # noqa: ARG002  for other means than this
        """Of the judged rows' values of one part."""
        return float(values.mean())

    def scalar(self, value: float | None, judged: Judged) -> Scalar:
        return Scalar(value=value, n=len(judged.values), n_invalid=judged.invalid, unit=self.unit,
                      higher_is_better=self.higher_is_better, convention=self.convention, proportion=self.proportion)


def left_out(judged: Judged) -> Scalar:
    """Images without anything to be found."""
    return Scalar(value=float(judged.left_out), n=len(judged.values) + judged.left_out, unit="images",
                  higher_is_better=False, detail=True)
