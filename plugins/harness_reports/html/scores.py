"""What the metrics said of single samples, as a run keeps it."""

from __future__ import annotations

import json
import math

from harness.api import CellResult, FinishedRun

Scores = dict[str, float | None]
"""Result name -> value of one sample."""


def sample_scores(run: FinishedRun, cell: CellResult) -> dict[str, Scores]:
    """By sample, in the order of the dataset; {} where the file is damaged or gone. What is not finite is None."""
    path = run.path(cell, "scores")
    if path is None:
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(entry["id"]): {name: _number(value) for name, value in entry.items() if name in cell.metrics}
            for entry in (entries if isinstance(entries, list) else []) if isinstance(entry, dict) and "id" in entry}


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None  # older files have NaN
