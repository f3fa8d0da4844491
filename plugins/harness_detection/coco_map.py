"""COCO's twelve numbers and the average precision of each class, through faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import MissingDependency, Ragged, Samples, Scalar, Summary, Table
from harness_detection.coco_format import ground_truth, results
from harness_detection.objects import class_names, objects_of, tiled
from harness_detection.params import CocoMapParams

NUMBERS = ("", "@0.5", "@0.75", ".small", ".medium", ".large", ".ar-1", ".ar-10", ".ar-100", ".ar-small", ".ar-medium",
           ".ar-large")
"""Result suffixes in the order of COCO's stats."""
CONVENTION = "coco-101-point"


class CocoMap:
    """Mean average precision as COCO defines it (Lin 2014; cocoapi): mean over classes and IoU .50, .55, ..., .95.

    Results:
        coco-map                  average precision
        coco-map@0.5, @0.75       at one IoU
        coco-map.small, ...       objects below 32^2, up to 96^2, and from 96^2 native pixels of area
        coco-map.ar-1, ...        average recall with 1, 10 and 100 detections for each image, and by size
        coco-map.class-NAME       average precision of a class
    A number without objects is not evaluable. n counts objects without crowd regions.
    """

    def __init__(self, params: CocoMapParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns: id; truth_boxes, truth_labels, truth_crowd, truth_areas; boxes, scores, labels; classes."""
        images = list(objects_of(samples))
        columns: dict[str, list[NDArray[Any]]] = {
            "truth_boxes": [image.boxes for image in images], "truth_labels": [image.labels for image in images],
            "truth_crowd": [image.crowd for image in images], "truth_areas": [image.areas for image in images],
            "boxes": [image.found for image in images], "scores": [image.scores for image in images],
            "labels": [image.found_labels for image in images],
        }
        names = tiled(class_names(samples.card), len(images))
        return Table({"id": np.array(samples.ids), **{name: Ragged.of(parts) for name, parts in columns.items()},
                      "classes": names})

    def summarize(self, rows: Table) -> Summary:
        truth = rows.ragged("truth_labels").values[~rows.ragged("truth_crowd").values]
        evaluation = evaluate(rows)
        scalars = {suffix: _scalar(value, len(truth)) for suffix, value in zip(NUMBERS, evaluation.stats, strict=False)}
        scalars.update(_by_class(evaluation, rows, truth))
        return Summary(scalars)


def evaluate(rows: Table) -> Any:
    """A finished COCOeval_faster over the rows; raises MissingDependency without faster-coco-eval."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingDependency("faster-coco-eval", "detection", "COCO mAP") from error
    truth = COCO(ground_truth(rows), print_function=_silent)
    found = truth.loadRes(results(rows))
    evaluation = COCOeval_faster(truth, found, iouType="bbox", print_function=_silent)
    evaluation.run()
    return evaluation


def _by_class(evaluation: Any, rows: Table, truth: Any) -> Iterator[tuple[str, Scalar]]:
    """precision: (IoU, recall, class, area, detections) with -1 where a class has no objects."""
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    names = rows.dense("classes")[0] if rows.rows else ()
    for index, name in enumerate(names):
        valid = precision[:, :, index][precision[:, :, index] > -1]
        yield f".class-{name}", _scalar(float(valid.mean()) if valid.size else -1.0, int((truth == index).sum()),
                                      detail=True)


def _scalar(value: float, n: int, *, detail: bool = False) -> Scalar:
    return Scalar(value=None if value < 0 else float(value), n=n, convention=CONVENTION, detail=detail)


def _silent(*_: object, **__: object) -> None:
    """faster-coco-eval prints."""
