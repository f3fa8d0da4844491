"""Which classes are taken for which?"""

from __future__ import annotations

import numpy as np

from harness.api import Ragged, Samples, Scalar, Summary, Table
from harness_detection.objects import class_names, match, objects_of, tiled
from harness_detection.params import ClassConfusionParams

_OWN = frozenset({"false-positives", "missed"})
"""Parts of results that are no classes."""


class ClassConfusion:
    """Detections above the score threshold are matched to objects whatever their class, crowd regions left out.

    Results:
        class-confusion                   share of the objects found whose class is right
        class-confusion.circle@square     share of the circles (found or not) that were found as squares
        class-confusion.circle@missed     share of the circles that nothing found
        class-confusion.false-positives   detections of nothing, for each image
    """

    def __init__(self, params: ClassConfusionParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns: label and predicted (-1 missed) for the objects of each image, false_positives, class names."""
        truth, predicted, wrong = [], [], []
        for image in objects_of(samples):
            sure = image.scores >= self.params.score_threshold
            image = image._replace(found=image.found[sure], scores=image.scores[sure],
                                   found_labels=image.found_labels[sure], level=image.level[sure])
            matches = match(image, self.params.iou, any_class=True)
            found = np.full(len(image.labels), -1, np.int64)
            hit = matches.owner >= 0
            found[matches.owner[hit]] = image.found_labels[hit]
            truth.append(image.labels[~image.crowd])
            predicted.append(found[~image.crowd])
            wrong.append(int((~hit & ~matches.ignored).sum()))
        return Table({"label": Ragged.of(truth), "predicted": Ragged.of(predicted),
                      "false_positives": np.array(wrong, np.int64),
                      "classes": tiled(class_names(samples.card, _OWN), len(samples.ids))})

    def summarize(self, rows: Table) -> Summary:
        if not rows.rows:
            return Summary({"": Scalar(value=None, n=0)})
        label, predicted = rows.ragged("label").values, rows.ragged("predicted").values
        found = predicted >= 0
        right = float((label == predicted)[found].mean()) if found.any() else None
        scalars = {"": Scalar(value=right, n=int(found.sum()), proportion=True)}
        names = [str(name) for name in rows.dense("classes")[0]]
        for index, name in enumerate(names):
            own = predicted[label == index]
            for other, column in (*((other, i) for i, other in enumerate(names)), ("missed", -1)):
                value = float((own == column).mean()) if len(own) else None
                scalars[f".{name}@{other}"] = Scalar(value=value, n=len(own), proportion=True,
                                                     higher_is_better=other == name, detail=True)
        per_image = float(rows.dense("false_positives").mean())
        scalars[".false-positives"] = Scalar(value=per_image, n=rows.rows, higher_is_better=False, unit="per image")
        return Summary(scalars)
