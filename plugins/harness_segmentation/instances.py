"""Objects instead of pixels: instance F1 and panoptic quality of the connected components of the prediction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.api import Samples, Scalar, Summary, Table, TaskMismatch
from harness_segmentation.pairs import Pair, class_names, pairs
from harness_segmentation.params import InstanceParams

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Matches(NamedTuple):
    """Objects of one class in one image: matched, predicted only, true only; iou: sum over the matched."""

    tp: int
    fp: int
    fn: int
    iou: float


class _Instances:
    """What both metrics measure."""

    def __init__(self, params: InstanceParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns: tp, fp, fn (N, C - 1) int64 objects of each class but the background, iou (N, C - 1) float64 sum
        over the matched, class (N, C - 1) names. Raises TaskMismatch when the dataset does not number objects.
        """
        names = class_names(samples)[1:]
        rows = []
        for pair, id_ in zip(pairs(samples, self.params.ignore), samples.ids, strict=True):
            if pair.instances is None:
                raise TaskMismatch(f"sample {id_}: instance metrics need numbered objects as the truth, this dataset "
                                   "gives classes only; leave the metric out for it")
            rows.append([self._match(pair, pair.instances, index) for index in range(1, len(names) + 1)])
        columns = np.array(rows, np.float64).reshape(len(rows), len(names), 4)
        whole = {name: columns[:, :, k].astype(np.int64) for k, name in enumerate(("tp", "fp", "fn"))}
        return Table({**whole, "iou": columns[:, :, 3], "class": np.tile(np.array(names), (len(rows), 1))})

    def _match(self, pair: Pair, instances: NDArray[np.int32], index: int) -> Matches:
        params = self.params
        predicted = components(pair.predicted == index, params.connectivity, params.min_area)
        truth = np.where(pair.truth == index, instances, 0)
        return match(predicted, truth, pair.truth < 0, params.threshold)


class InstanceF1(_Instances):
    """F1 of objects: 2 TP / (2 TP + FP + FN), a match is an IoU above the threshold (Caicedo 2019).

    Results: instance-f1 over the objects of all images and classes, .precision and .recall, .image the mean over images
    (1 without any object), .iou the mean IoU of the matched objects, and .<class> where there are several.
    """

    def summarize(self, rows: Table) -> Summary:
        tp, fp, fn = (rows.dense(name) for name in ("tp", "fp", "fn"))
        total = tp.sum(), fp.sum(), fn.sum()
        images = np.nan_to_num(_f1(tp.sum(axis=1), fp.sum(axis=1), fn.sum(axis=1)), nan=1.0)
        values = {
            "": _f1(*total), ".precision": _share(total[0], total[0] + total[1]),
            ".recall": _share(total[0], total[0] + total[2]), ".iou": _share(rows.dense("iou").sum(), total[0]),
            ".image": images.mean() if len(images) else np.float64(np.nan), **self._classes(rows),
        }
        n = int(total[0] + total[2])
        return Summary({suffix: _scalar(value, rows.rows if suffix == ".image" else n)
                        for suffix, value in values.items()})

    def _classes(self, rows: Table) -> dict[str, Floats]:
        tp, fp, fn = (rows.dense(name).sum(axis=0) for name in ("tp", "fp", "fn"))
        names = rows.dense("class")[0] if rows.rows and len(tp) > 1 else ()
        return {f".{name}": _f1(tp[k], fp[k], fn[k]) for k, name in enumerate(names)}


class PanopticQuality(_Instances):
    """Panoptic quality (Kirillov 2019, equation 1) of the objects: sum of IoU / (TP + FP / 2 + FN / 2).

    Results: panoptic-quality, the mean over classes of what their objects in all images give, its factors .sq
    (segmentation quality: mean IoU of matched objects) and .rq (recognition quality), and .<class> where there are
    several. Classes without any object in truth and prediction are left out.
    """

    def summarize(self, rows: Table) -> Summary:
        tp, fp, fn, iou = (rows.dense(name).sum(axis=0) for name in ("tp", "fp", "fn", "iou"))
        names = rows.dense("class")[0] if rows.rows and len(tp) > 1 else ()
        rq = _f1(tp, fp, fn)
        pq = _share(2 * iou, 2 * tp + fp + fn)
        values = {"": _mean(pq), ".sq": _mean(_share(iou, tp)), ".rq": _mean(rq),
                  **{f".{name}": pq[k] for k, name in enumerate(names)}}
        return Summary({suffix: _scalar(value, int((tp + fn).sum())) for suffix, value in values.items()})


def components(mask: NDArray[np.bool_], connectivity: int, min_area: int) -> NDArray[np.int32]:
    """(H, W) numbers from 1 of the 4- or 8-connected components with at least `min_area` pixels."""
    numbers, count = ndimage.label(mask, np.ones((3, 3)) if connectivity == 8 else None)
    small = np.bincount(numbers.ravel(), minlength=count + 1) < min_area
    return np.where(small[numbers], 0, numbers).astype(np.int32)


def match(predicted: NDArray[np.int32], truth: NDArray[np.int32], ignored: NDArray[np.bool_],
          threshold: float) -> Matches:
    """Pairs with an IoU above the threshold; from .5 on each object has one partner at most (Kirillov 2019, section 4).

    predicted, truth: (H, W) object numbers, 0 outside. Ignored pixels count for no object, and a predicted object that
    lies on them with more than half of its pixels does not count at all.
    """
    judged = ~ignored
    numbers, t = np.unique(truth[judged], return_inverse=True)
    p = predicted[judged].astype(np.int64)
    whole = np.bincount(predicted.ravel(), minlength=2)
    area, true_area = np.bincount(p, minlength=len(whole)), np.bincount(t, minlength=len(numbers))
    kept = (2 * area >= whole) & (np.arange(len(whole)) > 0) & (area > 0)
    pairs_, common = np.unique(p * len(numbers) + t, return_counts=True)  # sparse: a noisy prediction has many parts
    one, other = np.divmod(pairs_, max(1, len(numbers)))
    iou = common / (area[one] + true_area[other] - common)
    matched = iou[kept[one] & (numbers[other] > 0) & (iou > threshold)]
    tp = len(matched)
    return Matches(tp, int(kept.sum()) - tp, int((numbers > 0).sum()) - tp, float(matched.sum()))


def _f1(tp: Counts, fp: Counts, fn: Counts) -> Floats:
    return _share(2 * tp, 2 * tp + fp + fn)


def _share(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(numerator, denominator, dtype=np.float64), np.float64)


def _mean(values: Floats) -> Floats:
    present = values[~np.isnan(values)]
    return np.asarray(present.mean() if len(present) else np.nan, np.float64)


def _scalar(value: Floats | np.float64, n: int) -> Scalar:
    return Scalar(value=None if np.isnan(value) else float(value), n=n, convention="components")
