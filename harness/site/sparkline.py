"""A series over runs as a small drawing that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.history import Series

WIDTH, HEIGHT = 260, 56
_MARGIN = 6


class Dot(NamedTuple):
    """One run. title: shown when the pointer rests on it; href: its report, "" where there is none."""

    x: float
    y: float
    title: str
    href: str
    changed: str
    """"" or "better" or "worse": the level changed here."""


class Sparkline(NamedTuple):
    """line: points of a polyline, by stretch without gaps; band: between the interval's ends, as an outline."""

    line: Sequence[str]
    band: str
    dots: Sequence[Dot]


def sparkline(series: Series, links: dict[str, str]) -> Sparkline:
    """links: run -> address of its report. Runs without a value leave a gap."""
    points = series.points
    values = [value for point in points for value in (point.value, *(point.ci or ())) if value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    spread = high - low or abs(high) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(1, len(points) - 1)
    changes = {change.index: "worse" if change.worse else "better" for change in series.changes}

    def place(index: int, value: float) -> tuple[float, float]:
        share = (value - low) / spread if high > low else 0.5
        return round(_MARGIN + index * step, 1), round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 1)

    stretches: list[list[str]] = [[]]
    dots, upper, lower = [], [], []
    known = 0  # changes count the points that have a value
    for index, point in enumerate(points):
        if point.value is None:
            stretches.append([])
            continue
        x, y = place(index, point.value)
        stretches[-1].append(f"{x},{y}")
        title = "\n".join(filter(None, [f"{point.value:.5g} {series.unit}".strip(), point.finished, point.commit,
                                        point.run]))
        dots.append(Dot(x, y, title, links.get(point.run, ""), changes.get(known, "")))
        known += 1
        if point.ci is not None:
            upper.append("{},{}".format(*place(index, point.ci[1])))
            lower.append("{},{}".format(*place(index, point.ci[0])))
    return Sparkline([" ".join(each) for each in stretches if each], " ".join([*upper, *reversed(lower)]), dots)
