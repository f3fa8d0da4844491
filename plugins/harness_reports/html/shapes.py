"""What is drawn over a sample's picture, as shapes in native pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

LEVELS = 6
"""Colors for feature levels in the style sheet."""
_LOW_SCORE = 0.3
"""Detections below are too many to be seen."""
_LABEL = 40
"""Characters of a label beside a picture."""


class Shape(NamedTuple):
    """kind: box, ring, cross or line; numbers: x0, y0, x1, y1 of a box or line, x, y of a point; style: a CSS class."""

    kind: str
    numbers: tuple[float, ...]
    style: str
    title: str = ""


def shapes(entry: dict[str, Any]) -> list[Shape]:
    """Of one sample's entry in index.json, whatever its task; entries that are damaged draw nothing."""
    target, prediction = _dict(entry.get("target")), _dict(entry.get("prediction"))
    try:
        return [*_truth_boxes(target), *_detections(prediction), *_keypoints(target, prediction)]
    except (TypeError, ValueError, KeyError, IndexError):
        return []


def caption(entry: dict[str, Any]) -> str:
    """What was predicted, in words."""
    best = _dict(entry.get("prediction")).get("logits")
    if not isinstance(best, list) or not best or not isinstance(best[0], dict):
        return ""
    first = best[0]
    name = str(first.get("label") or f"class {first.get('class')}")
    return f"{name[:_LABEL]} {100 * float(first.get('probability') or 0):.0f} %"


def truth(entry: dict[str, Any]) -> str:
    """What is there, in words."""
    target = _dict(entry.get("target"))
    if isinstance(target.get("label"), str):
        return str(target["label"])[:_LABEL]
    labels = target.get("labels")
    if isinstance(labels, list) and "boxes" in target:
        counts = {str(each): labels.count(each) for each in labels}
        more = f", and {target['left_out']} more" if isinstance(target.get("left_out"), int) else ""
        return (", ".join(f"{count} {name[:_LABEL]}" for name, count in counts.items()) or "nothing") + more
    return ""


def _truth_boxes(target: dict[str, Any]) -> Iterator[Shape]:
    labels = target.get("labels", [])
    for index, box in enumerate(target.get("boxes") or []):
        name = str(labels[index]) if index < len(labels) else str(target.get("label", ""))
        yield Shape("box", tuple(map(float, box)), "truth", name)


def _detections(prediction: dict[str, Any]) -> Iterator[Shape]:
    boxes, scores = prediction.get("boxes"), prediction.get("scores")
    if not isinstance(boxes, list) or not isinstance(scores, list):
        return
    levels = prediction.get("level") if isinstance(prediction.get("level"), list) else [0] * len(boxes)
    for box, score, level in zip(boxes, scores, levels or [], strict=False):
        if score >= _LOW_SCORE:
            yield Shape("box", tuple(map(float, box)), f"level{int(level) % LEVELS}", f"level {level}, {score:.2f}")


def _keypoints(target: dict[str, Any], prediction: dict[str, Any]) -> Iterator[Shape]:
    points, visible = target.get("points") or [], target.get("visible") or []
    found = prediction.get("keypoints") or []
    for index, point in enumerate(points):
        if index < len(visible) and not visible[index]:
            continue
        if index < len(found):
            yield Shape("line", (*map(float, point), *map(float, found[index])), "error")
        yield Shape("ring", tuple(map(float, point)), "truth", f"keypoint {index}")
    for index, point in enumerate(found):
        yield Shape("cross", tuple(map(float, point)), "found", f"keypoint {index}, predicted")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
