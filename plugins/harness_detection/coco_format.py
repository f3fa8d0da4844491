"""COCO's JSON from the rows of `coco-map`: annotations, and results as detectors hand them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.api import Ragged, Table, part_names

COLUMNS = frozenset({"id", "truth_boxes", "truth_labels", "truth_crowd", "truth_areas", "boxes", "scores", "labels"})
"""What a table of rows must have."""


class Numbering(NamedTuple):
    """The ids of images, by row, and of categories, by class index."""

    images: Sequence[int]
    categories: Sequence[int]

    @classmethod
    def by_position(cls, rows: Table) -> Numbering:
        """Rows and class indices plus 1: repeated rows (bootstrap) are images of their own."""
        return cls(range(rows.rows), range(1, len(class_names(rows)) + 1))

    @classmethod
    def of_file(cls, rows: Table, categories: Mapping[str, Any]) -> Numbering:
        """As in a file of annotations: the sample's id is its image id, categories gives the ids of its names.

        Classes that the file does not have are numbered behind its last one.
        """
        last = max(categories.values(), default=0)
        names = class_names(rows)
        known = dict(zip(part_names(categories), categories.values(), strict=True))  # rows have parts of result names
        unknown = [name for name in names if name not in known]
        ids = {**known, **{name: last + 1 + index for index, name in enumerate(unknown)}}
        return cls([int(id_) for id_ in rows.dense("id").tolist()], [int(ids[name]) for name in names])


def class_names(rows: Table) -> list[str]:
    """The model's class names, in the order of the class indices."""
    return [str(name) for name in rows.dense("classes")[0]] if rows.rows else []


def ground_truth(rows: Table, numbering: Numbering | None = None) -> dict[str, Any]:
    """The file of annotations; file_name is the sample's id. numbering: by position, unless given."""
    ids = numbering or Numbering.by_position(rows)
    boxes = rows.ragged("truth_boxes")
    fields = zip(_owners(boxes), _xywh(boxes), rows.ragged("truth_labels").values.tolist(),
                 rows.ragged("truth_crowd").values.tolist(), rows.ragged("truth_areas").values.tolist(), strict=True)
    return {
        "info": {},
        "images": [{"id": ids.images[row], "file_name": str(id_)} for row, id_ in enumerate(rows.dense("id").tolist())],
        "categories": [{"id": ids.categories[index], "name": name} for index, name in enumerate(class_names(rows))],
        "annotations": [{"id": number, "image_id": ids.images[row], "category_id": ids.categories[label], "bbox": box,
                         "iscrowd": int(crowd), "area": area}
                        for number, (row, box, label, crowd, area) in enumerate(fields, 1)],
    }


def results(rows: Table, numbering: Numbering | None = None) -> list[dict[str, Any]]:
    """The file of results: one entry per detection. numbering: by position, unless given."""
    ids = numbering or Numbering.by_position(rows)
    boxes = rows.ragged("boxes")
    fields = zip(_owners(boxes), _xywh(boxes), rows.ragged("labels").values.tolist(),
                 rows.ragged("scores").values.tolist(), strict=True)
    return [{"image_id": ids.images[row], "category_id": ids.categories[label], "bbox": box, "score": score}
            for row, box, label, score in fields]


def _owners(column: Ragged) -> list[int]:
    owners: list[int] = np.repeat(np.arange(len(column)), np.diff(column.offsets)).tolist()
    return owners


def _xywh(column: Ragged) -> list[list[float]]:
    """Edges -> x, y, width, height."""
    values = column.values.astype(np.float64)
    boxes: list[list[float]] = np.concatenate([values[:, :2], values[:, 2:] - values[:, :2]], axis=1).tolist()
    return boxes
