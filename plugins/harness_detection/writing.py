"""Detections as COCO's JSON files, beside the results of a run."""

from __future__ import annotations

import json

from harness.api import RunContext, Table
from harness_detection.coco_file import read_coco
from harness_detection.coco_format import COLUMNS, Numbering, ground_truth, results
from harness_detection.params import CocoParams

FOLDER = "coco"


def write(context: RunContext) -> None:
    """For each table of `coco-map` rows of the finished cell: coco/CELL--METRIC.annotations.json and .results.json.

    Of a dataset `coco` the ids are those of its file, so that the results can be held against that file itself.
    """
    files = context.result.files if context.result is not None else {}
    for name, path in files.items():
        if not name.startswith("rows."):
            continue
        rows = Table.load(context.directory / path)
        if not set(rows) >= COLUMNS:
            continue
        stem = path.removeprefix("rows/").removesuffix(".npz").replace("/", "--")
        numbering = _numbering(context, rows)
        folder = context.directory / FOLDER
        folder.mkdir(exist_ok=True)
        for kind, content in (("annotations", ground_truth(rows, numbering)), ("results", results(rows, numbering))):
            (folder / f"{stem}.{kind}.json").write_text(json.dumps(content), encoding="utf-8")


def _numbering(context: RunContext, rows: Table) -> Numbering | None:
    dataset = context.result.dataset if context.result is not None else None
    params = context.datasets.get(dataset) if dataset is not None else None
    if not isinstance(params, CocoParams):
        return None
    categories = read_coco(params.annotations).categories
    if not all(isinstance(id_, int) for id_ in categories.values()):
        return None
    return Numbering.of_file(rows, categories) if all(map(_whole, rows.dense("id").tolist())) else None


def _whole(id_: str) -> bool:
    return id_.removeprefix("-").isdecimal()
