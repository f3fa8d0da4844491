"""Generated shapes on textured ground: small circles, medium squares, large triangles, drawn with anti-aliasing.

An image is a pure function of (seed, split, index): it depends neither on the number of images nor on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.api import DetectionTarget, GeneratedDataset
from harness_detection.boxes import iou_matrix
from harness_detection.params import SHAPES, ShapesParams

Floats = NDArray[np.float64]

_ATTEMPTS = 30
"""Places tried for a shape before it is left out."""
_MARGIN = 2.0
"""Smallest distance of a box from the image's border in pixels."""
_GRIDS = (4, 9, 28)
"""Cells per side of the random grids that make the ground's texture."""


class Shape(NamedTuple):
    """label: index into SHAPES; box: (4,) half-open edges in pixels; coverage: (size, size) share of each pixel."""

    label: int
    box: Floats
    coverage: Floats


class Shapes(GeneratedDataset[ShapesParams]):
    """Dataset of shapes; images (size, size, 3) uint8, every image with at least one object.

    Boxes are the exact extents of the drawn outlines, not rounded to pixels.
    """

    def sample(self, index: int) -> tuple[NDArray[np.uint8], DetectionTarget]:
        """(size, size, 3) uint8 image and its objects, large to small; raises IndexError outside the dataset."""
        params, rng = self.params, self.generator(index)
        color = rng.uniform(60, 195, 3)
        picture = ground(rng, params.size, color, params.texture)
        shapes, colors = place_shapes(rng, params), [color]
        for shape in shapes:
            alpha = shape.coverage[:, :, None]
            colors.append(_contrasting(rng, np.stack(colors), params.contrast))
            picture = picture * (1 - alpha) + colors[-1] * alpha
        picture += rng.uniform(*params.noise) * rng.standard_normal(picture.shape)
        image = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        boxes = np.stack([shape.box for shape in shapes]).astype(np.float32)
        labels = tuple(SHAPES[shape.label] for shape in shapes)
        return image, DetectionTarget(boxes=boxes, labels=labels, crowd=np.zeros(len(boxes), np.bool_))


def place_shapes(rng: np.random.Generator, params: ShapesParams) -> list[Shape]:
    """At least one shape, large to small, so that later ones lie on top; see ShapesParams.overlap."""
    count = rng.integers(params.objects[0], params.objects[1], endpoint=True)
    labels = rng.integers(0, len(SHAPES), count)
    sides = np.array([rng.uniform(*getattr(params, SHAPES[label])) for label in labels])
    placed: list[Shape] = []
    for index in np.argsort(-sides, kind="stable"):
        for _ in range(_ATTEMPTS):
            low = rng.uniform(_MARGIN, params.size - _MARGIN - sides[index], 2)
            box = np.concatenate([low, low + sides[index]])
            shape = Shape(int(labels[index]), box, coverage(int(labels[index]), box, params.size))
            if _fits(shape, placed, params.overlap):
                placed.append(shape)
                break
    return placed


def coverage(label: int, box: Floats, size: int) -> Floats:
    """(size, size) share of each pixel that the shape covers: that of a straight edge at the signed distance."""
    centers = np.arange(size) + 0.5
    x, y = centers[None, :], centers[:, None]
    (x0, y0, x1, y1), side = box, box[2] - box[0]
    if SHAPES[label] == "circle":
        distance = np.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) - side / 2
    elif SHAPES[label] == "square":
        distance = np.maximum(np.abs(x - (x0 + x1) / 2), np.abs(y - (y0 + y1) / 2)) - side / 2
    else:  # upright, with its base on the lower edge of the box
        slope = np.hypot(1.0, 0.5)
        flanks = (np.abs(x - (x0 + x1) / 2) - (y - y0) / 2) / slope
        distance = np.maximum(flanks, y - y1)
    return np.asarray(np.clip(0.5 - distance, 0, 1))


def ground(rng: np.random.Generator, size: int, color: Floats, texture: float) -> Floats:
    """(size, size, 3) gray levels around a color: grids of random values, enlarged, coarse ones stronger."""
    picture = np.zeros((size, size, 3))
    for cells in _GRIDS:
        picture += _enlarge(rng.standard_normal((cells, cells, 3)), size) / np.sqrt(cells)
    picture *= texture / max(float(picture.std()), 1e-9)
    return np.asarray(picture + color)


def _fits(shape: Shape, placed: Sequence[Shape], overlap: float) -> bool:
    """Neither too much of an earlier shape hidden by all later ones, nor two boxes too similar."""
    if not placed:
        return True
    boxes = np.stack([other.box for other in placed])
    if iou_matrix(shape.box[None], boxes).max() > overlap:
        return False
    for index, other in enumerate(placed):
        above = [later.coverage for later in placed[index + 1 :]] + [shape.coverage]
        hidden = other.coverage * np.maximum.reduce(above)
        if hidden.sum() > overlap * other.coverage.sum():
            return False
    return True


def _contrasting(rng: np.random.Generator, others: Floats, contrast: float) -> Floats:
    """A random color at least `contrast` away from all others (n, 3), or the farthest of many."""
    candidates = rng.uniform(0, 255, (32, 3))
    distances = np.linalg.norm(candidates[:, None] - others[None], axis=2).min(axis=1)
    enough = np.flatnonzero(distances >= contrast)
    return np.asarray(candidates[enough[0] if len(enough) else int(distances.argmax())])


def _enlarge(grid: Floats, size: int) -> Floats:
    """(n, n, 3) -> (size, size, 3), linear between the grid's values."""
    positions = np.linspace(0, len(grid) - 1, size)
    low = np.minimum(positions.astype(int), len(grid) - 2)
    share = positions - low
    rows = grid[low] * (1 - share)[:, None, None] + grid[low + 1] * share[:, None, None]
    return np.asarray(rows[:, low] * (1 - share)[None, :, None] + rows[:, low + 1] * share[None, :, None])
