"""Pixel counts by image and class, and what follows from them: IoU, Dice and pixel accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import Samples, Scalar, Summary, Table
from harness_segmentation.pairs import ClassMap, class_names, pairs
from harness_segmentation.params import OverlapParams, PixelAccuracyParams

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class ClassCounts(NamedTuple):
    """Pixels: common, truth, predicted (..., C) int64: correct, of the class, predicted as the class."""

    common: Counts
    truth: Counts
    predicted: Counts

    @classmethod
    def of(cls, rows: Table) -> ClassCounts:
        return cls(rows.dense("common"), rows.dense("truth"), rows.dense("predicted"))

    def pooled(self, axis: int | tuple[int, ...]) -> ClassCounts:
        return ClassCounts(*(each.sum(axis=axis) for each in self))

    def chosen(self, classes: slice) -> ClassCounts:
        return ClassCounts(*(each[..., classes] for each in self))


def count(truth: ClassMap, predicted: ClassMap, classes: int) -> ClassCounts:
    """(C,) pixel counts of one image; pixels of truth -1 are left out, a prediction -1 is of no class."""
    judged = truth >= 0
    t, p = truth[judged].astype(np.int64), predicted[judged].astype(np.int64)
    right = np.bincount(t[t == p], minlength=classes)
    return ClassCounts(right, np.bincount(t, minlength=classes), np.bincount(p[p >= 0], minlength=classes))


def count_table(samples: Samples, ignore: list[str]) -> Table:
    """Columns: common, truth, predicted (N, C) int64 pixels, class (N, C) names."""
    names = class_names(samples)
    counts = [count(pair.truth, pair.predicted, len(names)) for pair in pairs(samples, ignore)]
    columns = {field: np.stack(values) for field, values in zip(ClassCounts._fields, zip(*counts, strict=True),
                                                                  strict=True)}
    return Table({**columns, "class": np.tile(np.array(names), (len(counts), 1))})


def iou_of(counts: ClassCounts) -> Floats:
    """common / (truth + predicted - common); NaN where the class is in neither."""
    return _ratio(counts.common, counts.truth + counts.predicted - counts.common)


def dice_of(counts: ClassCounts) -> Floats:
    """2 common / (truth + predicted), the F1 of the pixels; NaN where the class is in neither."""
    return _ratio(2 * counts.common, counts.truth + counts.predicted)


class _Overlap:
    """A score of two sets of pixels, by image, class and dataset.

    Results, x the metric's name:
        x           mean over images: for two classes of class 1, otherwise the mean over the classes of the image
        x.macro     mean over classes of the score of the pixels of all images
        x.micro     score of the pixels of all images and classes
        x.<class>   score of the class over the pixels of all images
        x.empty     images where class 1 is in neither truth nor prediction; they score 1 (two classes only)
    A class that is in neither truth nor prediction of an image is left out of that image's mean; one that is predicted
    only scores 0. An image without a judged pixel is invalid.
    """

    def __init__(self, params: OverlapParams, score: Callable[[ClassCounts], Floats]) -> None:
        self.params, self.score = params, score

    def measure(self, samples: Samples) -> Table:
        return count_table(samples, self.params.ignore)

    def summarize(self, rows: Table) -> Summary:
        everything = ClassCounts.of(rows)
        valid = everything.truth.sum(axis=1) > 0
        counts = ClassCounts(*(each[valid] for each in everything)).chosen(self._judged(everything))
        names = rows.dense("class")[0, self._judged(everything)] if rows.rows else np.empty(0, np.str_)
        return Summary(dict(self._scalars(counts, names, int((~valid).sum()))))

    def _judged(self, counts: ClassCounts) -> slice:
        binary = counts.common.shape[1] == 2
        background = self.params.background == "include" or (self.params.background == "auto" and not binary)
        return slice(0 if background else 1, None)

    def _scalars(self, counts: ClassCounts, names: NDArray[np.str_], invalid: int) -> Iterator[tuple[str, Scalar]]:
        scores, single = self.score(counts), len(names) == 1
        empty = np.isnan(scores).all(axis=1)
        images = np.where(empty, 1.0, _mean(scores)) if single else _mean(scores)[~empty]
        convention = "foreground" if single else "classes"
        n = len(scores)

        def scalar(value: float | None, of: int = n, *, detail: bool = False) -> Scalar:
            return Scalar(value=value, n=of, n_invalid=invalid, convention=convention, detail=detail)

        pooled = self.score(counts.pooled(0))
        if single and n:
            pooled = np.nan_to_num(pooled, nan=1.0)  # empty against empty in every image
        yield "", scalar(_value(images), len(images))
        yield ".macro", scalar(_value(pooled))
        yield ".micro", scalar(_value(self.score(counts.pooled((0, 1)))[None]) if not single else _value(pooled))
        for name, value in zip(names, pooled, strict=True):
            yield f".{name}", scalar(_value(value[None]), detail=True)
        if single:
            yield ".empty", Scalar(value=float(empty.sum()), n=n, n_invalid=invalid, unit="images",
                                   convention=convention)


class IoU(_Overlap):
    """Intersection over union (Jaccard index)."""

    def __init__(self, params: OverlapParams) -> None:
        super().__init__(params, iou_of)


class Dice(_Overlap):
    """Dice coefficient, the F1 of the pixels."""

    def __init__(self, params: OverlapParams) -> None:
        super().__init__(params, dice_of)


class PixelAccuracy:
    """Share of judged pixels whose class is right, over all images; `.image` the mean over images, `.class` the mean
    over classes of the share of the class's pixels that is right.
    """

    def __init__(self, params: PixelAccuracyParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        return count_table(samples, self.params.ignore)

    def summarize(self, rows: Table) -> Summary:
        counts = ClassCounts.of(rows)
        valid = counts.truth.sum(axis=1) > 0
        n, invalid = int(valid.sum()), int((~valid).sum())
        right, total = counts.common.sum(axis=1)[valid], counts.truth.sum(axis=1)[valid]
        by_class = _ratio(counts.common.sum(axis=0), counts.truth.sum(axis=0))
        values = {"": _ratio(right.sum(), total.sum())[None], ".image": _ratio(right, total), ".class": by_class}
        return Summary({suffix: Scalar(value=_value(each), n=n, n_invalid=invalid) for suffix, each in values.items()})


def _ratio(numerator: Counts, denominator: Counts) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator, dtype=np.float64), np.float64)


def _mean(scores: Floats) -> Floats:
    """(N, C) -> (N,) mean of what is not NaN; NaN where nothing is."""
    present = ~np.isnan(scores)
    return _ratio(np.where(present, scores, 0).sum(axis=1), present.sum(axis=1))


def _value(scores: Floats) -> float | None:
    """The mean of what is not NaN; None without any."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else None
