"""Which feature level finds which objects?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelCard, Ragged, Samples, Scalar, Summary, Table, TaskMismatch
from harness_detection.anchors import level_names
from harness_detection.objects import class_names, match, objects_of, tiled
from harness_detection.params import Level, ScaleSpecializationParams

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
"""COCO's ranges of area in native pixels, low included."""


class ScaleSpecialization:
    """Shares of the true positives by the feature level that found them.

    A detection above the score threshold is a true positive when it finds an object of its class (see objects.match).
    Results:
        scale-specialization                  mean over classes of the share of the class's most used level
        scale-specialization.circle@56x56     share of the circles found that this level found
        scale-specialization.small@56x56      the same by size of the object: small, medium, large as in COCO
    """

    def __init__(self, params: ScaleSpecializationParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        """Columns for the true positives of each image: level, label, area; and names of classes and levels.

        Raises TaskMismatch when the model does not give levels.
        """
        if "level" not in samples.predictions:
            raise TaskMismatch("scale-specialization needs the output level, which this model does not give; leave the "
                               "metric out for it")
        level, label, area = [], [], []
        for image in objects_of(samples):
            owner = match(image, self.params.iou).owner
            hit = (owner >= 0) & (image.scores >= self.params.score_threshold)
            level.append(image.level[hit])
            label.append(image.labels[owner[hit]])
            area.append(image.areas[owner[hit]])
        count = len(samples.ids)
        return Table({"level": Ragged.of(level), "label": Ragged.of(label), "area": Ragged.of(area),
                      "classes": tiled(class_names(samples.card, SIZES), count),
                      "levels": tiled(names_of_levels(samples.card), count)})

    def summarize(self, rows: Table) -> Summary:
        if not rows.rows:
            return Summary({"": Scalar(value=None, n=0)})
        level, label, area = (rows.ragged(name).values for name in ("level", "label", "area"))
        levels = [str(name) for name in rows.dense("levels")[0]]
        scalars, most = {}, []
        for index, name in enumerate(rows.dense("classes")[0]):
            shares = dict(_shares(level[label == index], levels))
            scalars.update({f".{name}@{key}": share for key, share in shares.items()})
            most += [max(share.value for share in shares.values() if share.value is not None)] if any(
                label == index) else []
        for name, (low, high) in SIZES.items():
            shares = dict(_shares(level[(area >= low) & (area < high)], levels, detail=True))
            scalars.update({f".{name}@{key}": share for key, share in shares.items()})
        main = Scalar(value=float(np.mean(most)) if most else None, n=len(level))
        return Summary({"": main, **scalars})


def names_of_levels(card: ModelCard) -> tuple[str, ...]:
    """56x56, ... where the card knows the anchors, else 0, 1, ..."""
    if "anchors" in card.details:
        levels = [Level.model_validate(each) for each in card.details["anchors"]["levels"]]
        return level_names(levels, card.input.size)
    if card.decoder is not None and card.decoder.levels is not None:
        return tuple(map(str, range(len(card.decoder.levels))))
    raise TaskMismatch("the model's card does not say how many feature levels it has: neither details.anchors nor "
                       "decoder.levels; leave the metric out for it")


def _shares(level: NDArray[np.int64], levels: list[str], *, detail: bool = False) -> Iterator[tuple[str, Scalar]]:
    for index, name in enumerate(levels):
        value = float((level == index).mean()) if len(level) else None
        yield name, Scalar(value=value, n=len(level), proportion=True, detail=detail)
