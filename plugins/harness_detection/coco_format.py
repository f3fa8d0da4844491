"""COCO's JSON from the rows of `coco-map`: annotations, and results as detectors hand them in.

Image ids are positions, so that repeated rows (bootstrap) are images of their own; category ids are class indices
plus 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.api import Ragged, Table

COLUMNS = frozenset({"id", "truth_boxes", "truth_labels", "truth_crowd", "truth_areas", "boxes", "scores", "labels"})
"""What a table of rows must have."""


def ground_truth(rows: Table) -> dict[str, Any]:
    """The file of annotations; file_name is the sample's id."""
    boxes = rows.ragged("truth_boxes")
    fields = zip(_owners(boxes), _xywh(boxes), rows.ragged("truth_labels").values.tolist(),
                 rows.ragged("truth_crowd").values.tolist(), rows.ragged("truth_areas").values.tolist(), strict=True)
    return {
        "info": {},
        "images": [{"id": index, "file_name": str(id_)} for index, id_ in enumerate(rows.dense("id").tolist())],
        "categories": [{"id": index + 1, "name": str(name)} for index, name in enumerate(rows.dense("classes")[0])],
        "annotations": [{"id": number, "image_id": image, "category_id": label + 1, "bbox": box, "iscrowd": int(crowd),
                         "area": area} for number, (image, box, label, crowd, area) in enumerate(fields, 1)],
    }


def results(rows: Table) -> list[dict[str, Any]]:
    """The file of results: one entry per detection."""
    boxes = rows.ragged("boxes")
    fields = zip(_owners(boxes), _xywh(boxes), rows.ragged("labels").values.tolist(),
                 rows.ragged("scores").values.tolist(), strict=True)
    return [{"image_id": image, "category_id": label + 1, "bbox": box, "score": score}
            for image, box, label, score in fields]


def _owners(column: Ragged) -> list[int]:
    owners: list[int] = np.repeat(np.arange(len(column)), np.diff(column.offsets)).tolist()
    return owners


def _xywh(column: Ragged) -> list[list[float]]:
    """Edges -> x, y, width, height."""
    values = column.values.astype(np.float64)
    boxes: list[list[float]] = np.concatenate([values[:, :2], values[:, 2:] - values[:, :2]], axis=1).tolist()
    return boxes
