"""Score-CAM: channels weighed by the score of the image they mask (Wang et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api import ModelHandle, resize_maps
from harness_saliency.host_params import Score, ScoreCamParams
from harness_saliency.perturbing import Floats, class_scores, mixed, pieces


class ScoreCam:
    """(N, h, w) float32: ReLU of the weighted sum of the layer's channels, enlarged by bilinear interpolation.

    Each channel is enlarged to the input's size (half-pixel centers), scaled to [0, 1] by its minimum and maximum, and
    multiplied with the normalized input (equation 5 and figure 3). A channel that is constant over space masks
    nothing: it gets no weight and costs no pass. The paper's algorithm subtracts the score of a baseline image from
    each score, which its softmax cancels.
    """

    def __init__(self, params: ScoreCamParams) -> None:
        self.params = params

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        del seeds
        maps = [self._map(model, image, int(class_)) for image, class_ in zip(inputs, classes, strict=True)]
        return resize_maps(np.stack(maps), model.card.input.size)

    def _map(self, model: ModelHandle, image: Floats, class_: int) -> Floats:
        """(h', w') at the layer's size."""
        channels = model.activations(image[None])[0]
        channels = channels[np.ptp(channels, axis=(1, 2)) > 0]
        if not len(channels):
            return np.zeros(channels.shape[1:], np.float32)
        score: Score = "logit" if self.params.weights == "softmax" else "probability"
        scores = np.concatenate([self._scores(model, image, channels[piece], class_, score)
                                 for piece in pieces(len(channels), model, self.params)])
        return np.maximum(np.tensordot(self._weights(scores), channels.astype(np.float64), 1), 0).astype(np.float32)

    def _scores(self, model: ModelHandle, image: Floats, channels: Floats, class_: int,
                score: Score) -> NDArray[np.float64]:
        spec = model.card.input
        masks = resize_maps(channels, spec.size)
        low, high = masks.min(axis=(1, 2), keepdims=True), masks.max(axis=(1, 2), keepdims=True)
        masks = (masks - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
        return class_scores(model, mixed(image, np.zeros_like(image), masks, spec), class_, score)

    def _weights(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.params.weights == "probability":
            return scores
        odds = np.exp(scores - scores.max())
        return np.asarray(odds / odds.sum())
