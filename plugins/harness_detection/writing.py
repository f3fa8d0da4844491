"""Detections as COCO's JSON files, beside the results of a run."""

from __future__ import annotations

import json

from harness.api import RunContext, Table
from harness_detection.coco_format import COLUMNS, ground_truth, results

FOLDER = "coco"


def write(context: RunContext) -> None:
    """For each table of `coco-map` rows of the finished cell: coco/CELL--METRIC.annotations.json and .results.json."""
    files = context.result.files if context.result is not None else {}
    for name, path in files.items():
        if not name.startswith("rows."):
            continue
        rows = Table.load(context.directory / path)
        if not set(rows) >= COLUMNS:
            continue
        stem = path.removeprefix("rows/").removesuffix(".npz").replace("/", "--")
        folder = context.directory / FOLDER
        folder.mkdir(exist_ok=True)
        for kind, content in (("annotations", ground_truth(rows)), ("results", results(rows))):
            (folder / f"{stem}.{kind}.json").write_text(json.dumps(content), encoding="utf-8")
