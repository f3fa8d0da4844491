"""Networks whose answers are known, and samples that they explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from harness.api import ClassificationTarget, InputSpec, ModelCard, Samples, Table

SIZE = (12, 10)


@dataclass
class Linear:
    """logits = x . weights + bias, for inputs of any layout; notes how many inputs each call had."""

    weights: np.ndarray
    bias: np.ndarray
    calls: list[int] = field(default_factory=list)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        assert inputs.dtype == np.float32, "what a session takes"
        assert inputs.flags.c_contiguous
        self.calls.append(len(inputs))
        return (inputs.reshape(len(inputs), -1).astype(np.float64) @ self.weights + self.bias).astype(np.float32)

    def probability(self, image: np.ndarray, target: int) -> float:
        """By another route than the metrics take: one image, log-sum-exp, float64."""
        logits = image.astype(np.float64).reshape(-1) @ self.weights + self.bias
        return float(np.exp(logits[target] - np.logaddexp.reduce(logits)))


@dataclass(frozen=True)
class Lab:
    """samples of a linear network of three classes."""

    model: Linear
    samples: Samples


Make = Callable[..., Lab]


@pytest.fixture
def lab() -> Make:
    """lab(maps=..., layout="NHWC", ...): a batch with raw maps, by default positive noise."""

    def make(count: int = 5, maps: np.ndarray | None = None, layout: str = "NCHW", size: tuple[int, int] = SIZE,
             seed: int = 0, scale: float = 0.05, **fields: object) -> Lab:
        rng = np.random.default_rng(seed)
        shape = (3, *size) if layout == "NCHW" else (*size, 3)
        inputs = rng.normal(0, 1, (count, *shape)).astype(np.float32)
        model = Linear(rng.normal(0, scale, (inputs[0].size, 3)), rng.normal(0, 0.1, 3))
        spec = InputSpec(size=size, layout=layout, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3])
        card = ModelCard(task="classification", input=spec, labels=["a", "b", "c"])
        classes = rng.integers(0, 3, count)
        raw = rng.random((count, *size), np.float32) if maps is None else np.asarray(maps, np.float32)
        samples = Samples([f"image {index}" for index in range(count)],
                          [ClassificationTarget(label="abc"[index]) for index in classes],
                          Table({"logits": model(inputs)}), card, seed=7, inputs=inputs, saliency=raw,
                          classes=classes, seeds=list(range(count)), predict=model, **fields)
        model.calls.clear()
        return Lab(model, samples)

    return make


@pytest.fixture
def bad_maps() -> np.ndarray:
    """Maps that say nothing: constant, zero, NaN, infinite; and one that does."""
    maps = np.random.default_rng(3).random((6, *SIZE), np.float32)
    maps[0], maps[1] = 0.5, 0
    maps[2, 3, 4] = np.nan
    maps[3, 0, 0] = np.inf
    maps[4, 0, 0] = -np.inf
    return maps
