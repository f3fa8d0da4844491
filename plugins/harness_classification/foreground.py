"""Generated scenes: one textured shape on clutter, with its class, box and mask.

A scene is a pure function of (seed, split, index): it depends neither on the number of scenes nor on their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.api import ClassificationTarget, GeneratedDataset
from harness_classification.boxes import tight_box
from harness_classification.params import SHAPES, ForegroundParams
from harness_classification.shapes import coverage

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]


class Foreground(GeneratedDataset[ForegroundParams]):
    """Dataset of scenes: images (size, size, 3) uint8 RGB; the classes are balanced, sample i has class i mod 6.

    The mask holds the pixels that the shape covers by at least one half, the box is tight around them.
    """

    def sample(self, index: int) -> tuple[Image, ClassificationTarget]:
        """(size, size, 3) uint8 image and its target; raises IndexError outside the dataset."""
        params, rng = self.params, self.generator(index)
        label = SHAPES[index % len(SHAPES)]
        radius = rng.uniform(*params.scale) * params.size / 2
        center = rng.uniform(radius, params.size - 1 - radius, 2)
        covered = coverage(label, params.size, (center[0], center[1]), radius, rng.uniform(0, 2 * np.pi))
        back, front = _colors(rng, params.contrast)
        picture = _surface(rng, params.size, back)
        for _ in range(rng.integers(params.clutter[0], params.clutter[1] + 1)):
            _fragment(rng, picture)
        picture = _over(picture, _surface(rng, params.size, front), covered)
        picture += rng.uniform(*params.noise) * rng.standard_normal(picture.shape)
        mask = covered >= 0.5
        target = ClassificationTarget(label=label, boxes=tight_box(mask), mask=mask)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8), target


def _colors(rng: np.random.Generator, contrast: float) -> tuple[Floats, Floats]:
    """Two RGB colors whose Euclidean distance is at least `contrast` gray levels, each channel."""
    while True:
        colors = rng.uniform(20, 235, (2, 3))
        if np.linalg.norm(colors[0] - colors[1]) >= contrast * np.sqrt(3):
            return colors[0], colors[1]


def _surface(rng: np.random.Generator, size: int, color: Floats) -> Floats:
    """(size, size, 3) a color with a texture: stripes, checks or blotches in a shade of it."""
    pattern = (_stripes, _checks, _blotches)[rng.integers(3)](rng, size)
    shade = rng.uniform(-20, 20, 3)
    return color + pattern[:, :, None] * shade


def _stripes(rng: np.random.Generator, size: int) -> Floats:
    return np.asarray(np.sign(np.sin(_phase(rng, size))), np.float64)


def _checks(rng: np.random.Generator, size: int) -> Floats:
    return np.asarray(np.sign(np.sin(_phase(rng, size)) * np.sin(_phase(rng, size))), np.float64)


def _blotches(rng: np.random.Generator, size: int) -> Floats:
    waves = np.sum([np.sin(_phase(rng, size)) for _ in range(4)], axis=0)
    return np.asarray(waves / 2, np.float64)


def _phase(rng: np.random.Generator, size: int) -> Floats:
    """(size, size) phase of a plane wave with a period of 5 to 24 pixels in a random direction."""
    frequency, angle = 2 * np.pi / rng.uniform(5, 24), rng.uniform(0, 2 * np.pi)
    steps = np.arange(size)
    across, down = frequency * np.cos(angle) * steps, frequency * np.sin(angle) * steps
    return np.asarray(across[None, :] + down[:, None] + rng.uniform(0, 2 * np.pi))


def _fragment(rng: np.random.Generator, picture: Floats) -> None:
    """Draw a short bar or a dot in a random color over the picture: far smaller than the smallest shape."""
    size = len(picture)
    start = rng.uniform(0, size, 2)
    end = np.clip(start + rng.normal(0, size / 16, 2), 0, size)
    half, color = rng.uniform(0.7, size / 32), rng.uniform(0, 255, 3)
    low, high = np.minimum(start, end) - half - 1, np.maximum(start, end) + half + 2
    columns, rows = (slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))
    steps, along = np.arange(size), end - start
    x, y = steps[columns][None, :] - start[0], steps[rows][:, None] - start[1]
    share = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-12), 0, 1)
    covered = np.clip(half + 0.5 - np.hypot(x - share * along[0], y - share * along[1]), 0, 1)
    picture[rows, columns] = _over(picture[rows, columns], color, covered)


def _over(below: Floats, above: Floats, covered: Floats) -> Floats:
    share = covered[:, :, None]
    return np.asarray(below * (1 - share) + above * share)
