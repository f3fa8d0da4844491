"""The saliency metric: how small an excerpt suffices for the network?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness_saliency_metrics.cases import Case
from harness_saliency_metrics.judging import Found, MeanScores
from harness_saliency_metrics.localization_params import SaliencyMetricParams
from harness_saliency_metrics.params import Kind
from harness_saliency_metrics.probabilities import explained, original, predicted
from harness_saliency_metrics.regions import Region
from harness_saliency_metrics.threshold_tree import ThresholdTree
from harness_saliency_metrics.thresholds import level_of

Floats = NDArray[np.float64]
LEAST_AREA = 0.05
LEAST_PROBABILITY = 1e-10
"""Lower probabilities count as this one, so that there is a worst value."""
WORST = -math.log(LEAST_PROBABILITY)
"""The whole image with the least probability."""


class SaliencyMetric(MeanScores):
    """ln(max(.05, a)) - ln p (Dabkowski and Gal 2017), lower is better; it needs no annotation.

    box: a is the share of the image that the box of the largest component covers, p the class probability of that
    crop of the normalized input, enlarged to the input's size (bilinear, aspect not kept); mask: a is the share of the
    component, p that of the input with everything else at 0. An empty level set scores as an invalid map.
    """

    annotated = False

    def __init__(self, params: SaliencyMetricParams) -> None:
        super().__init__(params.suffixes, {"": WORST}, params.normalize, higher_is_better=False, unit="nat",
                         convention=f"{params.convention}, {params.binarization}")
        self.params = params

    def region_of(self, case: Case, kind: Kind) -> Region:
        """Everything: what is judged is the map's own box or component."""
        return Region(kind, np.zeros((0, 4), np.int64), np.ones(case.raw.shape, np.bool_))

    def rows(self, found: Sequence[Found]) -> Floats:
        """(n, 1): what each region shows goes through the network; of whole images all metrics share the answers."""
        samples = found[0].samples
        given = explained(samples)
        levels = [level_of(each.case, self.params) for each in found]
        pieces = [(each, level) for each, level in zip(found, levels, strict=True) if level >= 0]
        where = np.array([each.index for each, _ in pieces], np.int64)
        if self.params.convention == "no-crop":
            shown = original(samples).target[where]
        else:
            parts = [_changed(given.inputs[each.index], each, level, given.channels_last) for each, level in pieces]
            shown = predicted(samples, np.stack(parts), given.classes[where]).target if parts else np.zeros(0)
        values = np.full((len(found), 1), WORST)
        areas = np.array([_area(each, level) for each, level in pieces])
        certain = np.log(np.maximum(shown, LEAST_PROBABILITY))
        values[np.array(levels) >= 0, 0] = np.log(np.maximum(LEAST_AREA, areas)) - certain
        return values


def _largest(found: Found, level: int) -> tuple[ThresholdTree, int]:
    at = np.array([level])
    tree = found.case.tree_of(at)
    return tree, int(tree.largest_at(at)[0])


def _area(found: Found, level: int) -> float:
    """Share of the image."""
    tree, node = _largest(found, level)
    x0, y0, x1, y1 = map(int, tree.boxes[node])
    pixels = (x1 - x0) * (y1 - y0) if found.region.kind == "box" else int(tree.size[node])
    return pixels / found.case.raw.size


def _changed(image: NDArray[np.float32], found: Found, level: int, channels_last: bool) -> NDArray[np.float32]:
    """One normalized input: cropped to the largest component's box, or 0 outside of the component."""
    tree, node = _largest(found, level)
    if found.region.kind == "mask":
        component = tree.component(node)
        return np.asarray(image * (component[:, :, None] if channels_last else component), np.float32)
    planes = image.transpose(2, 0, 1) if channels_last else image
    enlarged = np.stack([enlarge(plane, tree.boxes[node]) for plane in planes])
    return enlarged.transpose(1, 2, 0) if channels_last else enlarged


def enlarge(plane: NDArray[np.float32], box: NDArray[np.integer]) -> NDArray[np.float32]:
    """(h, w), half-open x0, y0, x1, y1 -> (h, w) float32: the box bilinearly enlarged to the whole plane.

    Pixel centers at half integers (align_corners = False), the crop's border repeated.
    """
    x0, y0, x1, y1 = map(int, box)
    crop = Image.fromarray(np.ascontiguousarray(plane[y0:y1, x0:x1]))
    return np.asarray(crop.resize((plane.shape[1], plane.shape[0]), Image.Resampling.BILINEAR), np.float32)
