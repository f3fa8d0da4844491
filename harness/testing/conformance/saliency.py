"""Saliency generators: one raw map per input, decided by the input, the class and the seed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.saliency import ModelHandle, SaliencyGenerator
from harness.specs import SaliencySpec
from harness.testing.conformance.expect import expect


def check_saliency(spec: SaliencySpec, generator: SaliencyGenerator, model: ModelHandle,
                   inputs: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
    """Shape and dtype of the maps, deterministic by seed, independent of batching.

    A GraphGenerator is checked as `harness.explaining.GraphExplainer(generator)`. inputs: (N, ...) float32 as the
    model's card says, N >= 2; classes: (N,) int64 class indices.
    """
    seeds = list(range(len(inputs)))
    maps = generator.explain(model, inputs, classes, seeds)
    expected = (len(inputs), *model.card.input.size)
    expect(maps.shape == expected, f"{spec.name}: maps of shape {maps.shape}, expected {expected}")
    expect(maps.dtype == np.float32, f"{spec.name}: maps are {maps.dtype}, expected float32")
    again = generator.explain(model, inputs, classes, seeds)
    expect(np.array_equal(maps, again, equal_nan=True), f"{spec.name}: a second call with the same seeds differs")
    for i in range(len(inputs)):
        alone = generator.explain(model, inputs[i : i + 1], classes[i : i + 1], seeds[i : i + 1])[0]
        scale = float(np.abs(maps[i]).max(initial=0))
        expect(np.allclose(alone, maps[i], rtol=1e-4, atol=1e-5 * scale, equal_nan=True),
               f"{spec.name}: the map of input {i} depends on its batch")
