"""Draws the picture of localization-metrics.md from a generated map: python docs/localization_picture.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion, gaussian_filter

from harness_saliency_metrics.cases import GRID, levels_at
from harness_saliency_metrics.maps import normalized
from harness_saliency_metrics.overlap import box_overlap
from harness_saliency_metrics.regions import raster
from harness_saliency_metrics.threshold_tree import Ranking, ThresholdTree

IMAGES = Path(__file__).parent / "pictures"
SIDE, SCALE, GAP, TOP, BELOW = 64, 4, 24, 34, 46
WHITE, INK, GRAY, ORANGE, BLUE = (255, 255, 255), (40, 40, 40), (150, 150, 150), (235, 120, 20), (30, 110, 200)
HEAT = np.array([(10, 10, 40), (90, 20, 110), (190, 50, 90), (245, 130, 40), (250, 240, 150)], np.float64)


def scene() -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    """A map as a network would give it, the object's mask and its box."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    mask = ((rows - 34) / 21) ** 2 + ((columns - 27) / 15) ** 2 < 1
    mask |= (abs(rows - 16) < 7) & (abs(columns - 37) < 9)
    spots = ((30, 26, 1.0, 9), (17, 38, 0.75, 5), (52, 54, 0.62, 5), (10, 8, 0.5, 4))
    values = sum(height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
                 for y, x, height, width in spots)
    values = values + 0.35 * gaussian_filter(np.random.default_rng(3).normal(size=(SIDE, SIDE)), 2.5)
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return values.astype(np.float32), mask, np.array([[across[0], down[0], across[-1] + 1, down[-1] + 1]])


class Canvas:
    """Panels side by side."""

    def __init__(self, panels: int) -> None:
        size = (GAP + panels * (SIDE * SCALE + GAP), TOP + SIDE * SCALE + BELOW)
        self.image = Image.new("RGB", size, WHITE)
        self.draw = ImageDraw.Draw(self.image)
        self.font = ImageFont.load_default(14)

    def at(self, panel: int, x: float, y: float) -> tuple[float, float]:
        return GAP + panel * (SIDE * SCALE + GAP) + x * SCALE, TOP + y * SCALE

    def title(self, panel: int, text: str) -> None:
        x, _ = self.at(panel, 0, 0)
        self.draw.text((x, 8), text, INK, self.font)

    def caption(self, panel: int, lines: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
        x, y = self.at(panel, 0, SIDE)
        for index, (text, color) in enumerate(lines):
            self.draw.text((x, y + 5 + 18 * index), text, color, self.font)

    def picture(self, panel: int, colors: NDArray[Any]) -> None:
        part = Image.fromarray(colors.astype(np.uint8)).resize((SIDE * SCALE,) * 2, Image.Resampling.NEAREST)
        x, y = self.at(panel, 0, 0)
        self.image.paste(part, (int(x), int(y)))

    def box(self, panel: int, box: Sequence[int], color: tuple[int, int, int]) -> None:
        x0, y0, x1, y1 = map(int, box)
        self.draw.rectangle((*self.at(panel, x0, y0), *self.at(panel, x1, y1)), outline=color, width=2)

    def line(self, panel: int, ys: NDArray[Any], color: tuple[int, int, int]) -> None:
        """Values from 0 to 1 over the grid."""
        points = [self.at(panel, SIDE * t, SIDE * (1 - y)) for t, y in zip(GRID, ys, strict=True)]
        self.draw.line(points, fill=color, width=2)


def heat(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(h, w) in [0, 1] -> (h, w, 3)."""
    steps = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(values, steps, HEAT[:, channel]) for channel in range(3)], axis=-1)


def draw() -> Image.Image:
    raw, mask, box = scene()
    scaled = normalized(raw, "min-max")
    if scaled is None:
        raise ValueError("the map says nothing")
    ranking = Ranking.of(raw)
    tree = ThresholdTree.of(ranking, mask)
    canvas = Canvas(3)
    outline = mask & ~binary_erosion(mask)

    canvas.title(0, "map S, mask M and box B")
    canvas.picture(0, np.where(outline[:, :, None], 255, heat(scaled)))
    canvas.box(0, box[0], WHITE)
    y, x = divmod(int(ranking.order[0]), SIDE)
    left, top = canvas.at(0, x + 0.5, y + 0.5)
    canvas.draw.line((left - 7, top, left + 7, top), INK, 2)
    canvas.draw.line((left, top - 7, left, top + 7), INK, 2)
    energy = [float((scaled * inside).sum() / scaled.sum()) for inside in (raster(box, raw.shape), mask)]
    canvas.caption(0, [(f"energy in box {energy[0]:.2f}, in mask {energy[1]:.2f}", INK),
                       (f"maximum (+): {'hit' if mask[y, x] else 'miss'}", INK)])

    level = int(np.count_nonzero(ranking.values >= raw.mean())) - 1
    node = int(tree.largest[level])
    component = tree.component(node)
    colors = np.where(ranking.level_set(level)[:, :, None], 205, np.array(WHITE))
    colors = np.where(component[:, :, None], np.array((250, 200, 150)), colors)
    canvas.title(1, "S >= mean: largest component C, box b")
    canvas.picture(1, np.where(outline[:, :, None], np.array(GRAY), colors))
    canvas.box(1, box[0], GRAY)
    canvas.box(1, tree.boxes[node], ORANGE)
    errors = 1 - box_overlap(tree.boxes[node : node + 1].astype(np.int64), box).iou[0], 1 - _mask_iou(tree, mask)[node]
    canvas.caption(1, [(f"localization error, box {errors[0]:.2f}, mask {errors[1]:.2f}", INK)])

    levels = levels_at(normalized(ranking.values, "min-max"), GRID)
    largest = tree.largest_at(levels)
    canvas.title(2, "the same over all thresholds, 0 to 1")
    corners = (*canvas.at(2, 0, 0), *canvas.at(2, SIDE, SIDE))
    canvas.draw.rectangle(corners, outline=GRAY)
    canvas.draw.line((*canvas.at(2, 0, SIDE / 2), *canvas.at(2, SIDE, SIDE / 2)), GRAY)
    canvas.line(2, box_overlap(tree.boxes[largest].astype(np.int64), box).iou, ORANGE)
    canvas.line(2, _mask_iou(tree, mask)[largest], BLUE)
    canvas.caption(2, [("IoU of b and B", ORANGE), ("IoU of C and M", BLUE)])
    return canvas.image


def _mask_iou(tree: ThresholdTree, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of every node."""
    return np.asarray(tree.inside / (tree.size + mask.sum() - tree.inside), np.float64)


def main(folder: Path = IMAGES) -> None:
    """Write the picture."""
    draw().quantize(64).save(folder / "localization.png", optimize=True)


if __name__ == "__main__":
    main()
