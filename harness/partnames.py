"""Names of classes and keypoints as parts of result names."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def part_names(labels: Iterable[str], reserved: Collection[str] = ()) -> tuple[str, ...]:
    """One part for each label, all of them different: "traffic light" becomes "traffic-light".

    White space, "." and "@", which begin parts and parameters of a result's name, become "-". reserved: parts that the
    metric has of its own; a label that is one of them becomes "class-LABEL". What was called before gets a number.
    """
    names: dict[str, None] = {}
    for label in labels:
        plain = "".join("-" if char.isspace() or char in ".@" else char for char in label)
        first = name = f"class-{plain}" if plain in reserved else plain
        number = 1
        while name in names:
            number += 1
            name = f"{first}-{number}"
        names[name] = None
    return tuple(names)
