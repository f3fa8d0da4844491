"""Six shapes of the foreground scenes as point sets, in units of their circumscribed circle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness_classification.params import SHAPES

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_INNER = 0.45
"""Radius of the star's inner corners."""
_ARM = 0.3
"""Half the width of the cross's arms."""
_HOLE = 0.55
"""Radius of the ring's hole."""


def inside(shape: str, u: Floats, v: Floats) -> Mask:
    """Which of the points (u, v), v down, belong to a shape in the unit circle; raises KeyError for another name."""
    return _TESTS[shape](u, v)


def coverage(shape: str, size: int, center: tuple[float, float], radius: float, turn: float,
             samples: int = 4) -> Floats:
    """(size, size) share of each pixel that a shape covers, from samples x samples points in each.

    center: x, y in pixels; radius: of the circumscribed circle in pixels; turn: in radians.
    """
    covered = np.zeros((size, size))
    rows, columns = (slice(max(0, int(c - radius - 1)), int(c + radius + 2)) for c in (center[1], center[0]))
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    steps = np.arange(size)[:, None] + offsets
    x = (steps[columns].ravel()[None, :] - center[0]) / radius
    y = (steps[rows].ravel()[:, None] - center[1]) / radius
    cosine, sine = np.cos(turn), np.sin(turn)
    points = inside(shape, cosine * x + sine * y, cosine * y - sine * x)
    covered[rows, columns] = points.reshape(len(points) // samples, samples, -1, samples).mean(axis=(1, 3))
    return covered


def _disc(u: Floats, v: Floats) -> Mask:
    return np.asarray(u**2 + v**2 <= 1)


def _ring(u: Floats, v: Floats) -> Mask:
    return _disc(u, v) & (u**2 + v**2 >= _HOLE**2)


def _square(u: Floats, v: Floats) -> Mask:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) <= np.sqrt(0.5))


def _triangle(u: Floats, v: Floats) -> Mask:
    return np.asarray((v <= 0.5) & (np.abs(u) * np.sqrt(3) <= v + 1))


def _cross(u: Floats, v: Floats) -> Mask:
    short, long = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
    return np.asarray((short <= _ARM) & (long <= np.sqrt(1 - _ARM**2)))


def _star(u: Floats, v: Floats) -> Mask:
    """Five points: the plane folded into one tenth, whose border is the line from an outer to an inner corner."""
    fifth = 2 * np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + fifth / 2) % fifth - fifth / 2)
    radius = np.hypot(u, v)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    corner_x, corner_y = _INNER * np.cos(fifth / 2), _INNER * np.sin(fifth / 2)
    return np.asarray((x - 1) * corner_y <= y * (corner_x - 1))


_TESTS = dict(zip(SHAPES, (_cross, _disc, _ring, _square, _star, _triangle), strict=True))
