"""What a map should show: the boxes and the mask of an image, at the model's input size, as pixels.

A box is the set of the pixels whose centers lie inside of it, which is also what the nearest neighbor makes of its
raster; so that a rectangular mask and its box are the same region at every input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.api import ClassificationTarget, Fit, Samples, TaskMismatch
from harness_saliency_metrics.params import Kind

Bools = NDArray[np.bool_]
_MARGIN = 1e-7  # undoes rounding errors only, as in harness.geometry


@dataclass(frozen=True)
class Region:
    """The object pixels of one image that are judged. kind: what they come from; boxes: (M, 4) int64 half-open edges
    [x0, y0, x1, y1), M >= 1, for a mask none; inside: (h, w) bool; ignore: (h, w) bool, or None without such pixels.
    """

    kind: Kind
    boxes: NDArray[np.int64]
    inside: Bools
    ignore: Bools | None = None

    @cached_property
    def area(self) -> int:
        """Judged object pixels."""
        return int(np.count_nonzero(self.inside))

    @cached_property
    def judged(self) -> int:
        """Judged pixels."""
        return self.inside.size - (0 if self.ignore is None else int(np.count_nonzero(self.ignore)))


@dataclass(frozen=True)
class Truth:
    """What one image is annotated with, in native pixels, and how it was placed into the model's input."""

    target: ClassificationTarget
    fit: Fit
    _known: dict[Kind, Region | None] = field(default_factory=dict, compare=False, repr=False)

    def annotated(self, kind: Kind) -> bool:
        return (self.target.boxes if kind == "box" else self.target.mask) is not None

    def region(self, kind: Kind) -> Region | None:
        """None when there is no annotation of this kind, or no object pixel that is judged."""
        if kind not in self._known:
            self._known[kind] = self._make(kind)
        return self._known[kind]

    def _make(self, kind: Kind) -> Region | None:
        boxes = np.zeros((0, 4), np.int64)
        if kind == "box":
            if self.target.boxes is None:
                return None
            boxes = pixel_boxes(self.target.boxes, self.fit)
            inside = raster(boxes, self.fit.size)
        else:
            if self.target.mask is None:
                return None
            inside = np.asarray(self.fit.mask_to_input(self.target.mask), np.bool_)
        if self.ignore is not None:
            inside = inside & ~self.ignore
        return Region(kind, boxes, inside, self.ignore) if inside.any() else None

    @cached_property
    def ignore(self) -> Bools | None:
        """(h, w) pixels that are not judged; None without any."""
        if self.target.ignore is None or not self.target.ignore.any():
            return None
        return np.asarray(self.fit.mask_to_input(self.target.ignore), np.bool_)


def truths(samples: Samples) -> Sequence[Truth]:
    """One for each sample, made once for all metrics of a batch. Raises TaskMismatch for targets of another task."""
    return samples.once("harness_saliency_metrics.truths", lambda: _truths(samples))


def _truths(samples: Samples) -> list[Truth]:
    if samples.fits is None:
        raise ValueError("samples without fits")
    found = []
    for target, fit in zip(samples.targets, samples.fits, strict=True):
        if not isinstance(target, ClassificationTarget):
            raise TaskMismatch(f"saliency maps are judged for classification targets, got {type(target).__name__}")
        found.append(Truth(target, fit))
    return found


def pixel_boxes(boxes: NDArray[np.float32], fit: Fit) -> NDArray[np.int64]:
    """(M, 4) edges in native pixels -> (K, 4) int64 edges of the pixels of the model's input whose centers they hold.

    Clipped to the input; a box that holds no pixel center is left out.
    """
    scale, offset = (fit.scale_x, fit.scale_y) * 2, (fit.offset_x, fit.offset_y) * 2
    edges = boxes.astype(np.float64) * scale + offset
    limit = (fit.size.width, fit.size.height) * 2
    pixels = np.clip(np.ceil(edges - 0.5 - _MARGIN), 0, limit).astype(np.int64)
    return pixels[(pixels[:, 2:] > pixels[:, :2]).all(axis=1)]


def raster(boxes: NDArray[np.int64], size: tuple[int, int]) -> Bools:
    """(M, 4) half-open pixel edges -> (h, w) bool: their union."""
    inside = np.zeros(size, np.bool_)
    for x0, y0, x1, y1 in boxes:
        inside[y0:y1, x0:x1] = True
    return inside
