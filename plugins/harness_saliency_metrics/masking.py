"""Average drop, increase and gain: what the network says of the image seen through its saliency map."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.api import InputSpec, Samples, Scalar, Summary, Table, normalize
from harness_saliency_metrics.faithfulness_params import AverageDropParams, AverageIncreaseParams, ConventionParams
from harness_saliency_metrics.maps import Map
from harness_saliency_metrics.ordering import descending
from harness_saliency_metrics.probabilities import Probabilities, explained, original, predicted, relevance
from harness_saliency_metrics.summaries import INVALID, mean

Floats = NDArray[np.float32]
How = Literal["normalized", "top50", "pixels"]


def masked(samples: Samples, how: How) -> Probabilities:
    """(N,) probabilities of the images multiplied with their maps; NaN where the map is invalid.

    Computed once for all metrics of a batch.
    """
    return samples.once(f"harness_saliency_metrics.masked.{how}", lambda: _masked(samples, how))


def masked_inputs(samples: Samples, how: How) -> tuple[NDArray[np.int64], Floats]:
    """The indices of the samples with a valid map, and their inputs multiplied with it."""
    given, maps = explained(samples), relevance(samples)
    valid = np.array([index for index, each in enumerate(maps) if each is not None], np.int64)
    usable = [_muted(each) if how == "top50" else each for each in maps if each is not None]
    if not usable:
        return valid, given.inputs[:0]
    planes = given.planes(np.stack(usable))
    black = _black(samples.card.input) if how == "pixels" else np.float32(0)
    return valid, np.asarray((given.inputs[valid] - black) * planes + black, np.float32)


def _masked(samples: Samples, how: How) -> Probabilities:
    valid, inputs = masked_inputs(samples, how)
    result = Probabilities(*np.full((2, len(samples.ids)), np.nan))
    if len(valid):
        found = predicted(samples, inputs, explained(samples).classes[valid])
        result.target[valid], result.rest[valid] = found
    return result


def _muted(relevant: Map) -> Map:
    """Only the more salient half of the pixels, the first of equal ones in raster order."""
    order = descending(relevant)
    kept = np.zeros(relevant.size, np.float32)
    kept[order[:(relevant.size + 1) // 2]] = 1
    return np.asarray(relevant * kept.reshape(relevant.shape), np.float32)


def _black(spec: InputSpec) -> Floats:
    """What a pixel value of 0 becomes in the normalized input; broadcasts over it."""
    values: Floats = normalize(np.zeros((1, 1, 1, spec.channels), np.uint8), spec)[0]
    return values


class AverageDrop:
    """Mean of max(0, p - o) / p: what the probability p of the class loses through the mask (Chattopadhay 2018).

    o: the probability of the image multiplied with its map. An image with p = 0 has nothing to lose: 0. Rows: value,
    invalid.
    """

    def __init__(self, params: AverageDropParams) -> None:
        self.how: How = params.convention if params.convention in ("top50", "pixels") else "normalized"
        self.convention = params.convention

    def measure(self, samples: Samples) -> Table:
        before, after = original(samples).target, masked(samples, self.how).target
        drop = before - after
        drop = np.abs(drop) if self.convention == "abs" else np.maximum(drop, 0)
        if self.convention != "unnormalized":
            drop = np.divide(drop, before, out=np.zeros_like(drop), where=before > 0)
        invalid = np.isnan(after)
        return Table({"value": np.where(invalid, 1.0, drop), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=False, convention=self.convention)})


class AverageIncrease:
    """Share of the images whose class is more probable through the mask: o > p (Chattopadhay 2018).

    Rows: value (0 or 1), invalid.
    """

    def __init__(self, params: AverageIncreaseParams) -> None:
        self.convention = params.convention

    def measure(self, samples: Samples) -> Table:
        before, after = original(samples), masked(samples, "normalized")
        # Where both round to 1 the rest still tells them apart.
        gain = np.where(before.target < 0.5, after.target - before.target, before.rest - after.rest)
        hit = gain >= 0 if self.convention == "ties" else gain > 0
        return Table({"value": hit.astype(np.float64), INVALID: np.isnan(after.target)})

    def summarize(self, rows: Table) -> Summary:
        return Summary({"": mean(rows, higher_is_better=True, convention=self.convention, proportion=True)})


class AverageGain:
    """Mean of max(0, o - p) / (1 - p): what the probability gains of what it could gain (Zhang 2024, Opti-CAM).

    An image with p = 1 has nothing to gain: 0. Rows: value, invalid.
    """

    def __init__(self, params: ConventionParams) -> None:
        self.convention = params.convention_text

    def measure(self, samples: Samples) -> Table:
        before, after = original(samples), masked(samples, "normalized")
        gain = np.maximum(before.rest - after.rest, 0)
        gain = np.divide(gain, before.rest, out=np.zeros_like(gain), where=before.rest > 0)
        invalid = np.isnan(after.target)
        return Table({"value": np.where(invalid, 0.0, gain), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        scalar: Scalar = mean(rows, higher_is_better=True, convention=self.convention)
        return Summary({"": scalar})
