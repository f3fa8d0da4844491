"""Expected gradients (Erion et al. 2021): integrated gradients over baselines that are drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.api import (
    DataError,
    InputSpec,
    ModelCard,
    Rules,
    UnreadableSample,
    files_fingerprint,
    prepare,
    read_photograph,
)
from harness_saliency.graph_params import ExpectedGradientsParams
from harness_saliency.loop import PointLoop
from harness_saliency.maps import image_map
from harness_saliency.paths import NOISE, add_drawn_input, baseline_value

Floats = NDArray[np.float32]
Feeds = dict[str, NDArray[Any]]
_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


class Baselines(Protocol):
    """Where baselines come from."""

    def append(self, loop: PointLoop, spec: InputSpec, samples: int) -> Callable[[str], str]:
        """Add what stands before the loop; returns what appends the baselines of a step, tensors like the image."""

    def draw(self, random: np.random.Generator, samples: int, shape: tuple[int, ...]) -> Feeds:
        """Feeds of one image of this shape."""


class ExpectedGradients:
    """The mean of (x - x') gradient(x' + a (x - x')) over random baselines x' and a, uniform in [0, 1).

    Inputs of the graph beside image and class: `alpha` (N, samples) and those of the baselines.
    """

    def __init__(self, params: ExpectedGradientsParams) -> None:
        self.params = params
        self.baselines: Baselines = Background(read_images(params.background)) if params.background else Uniform()

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        loop = PointLoop(graph, card, rules)
        nodes, samples = loop.graph, self.params.samples
        alphas = nodes.add_input("alpha", nodes.dtype(loop.image), (loop.draft.batch, samples))
        spread = nodes.constant(np.array([1, 2, 3], np.int64))
        baseline_of = self.baselines.append(loop, card.input, samples)

        def step(index: str, states: Sequence[str]) -> list[str]:
            baseline = baseline_of(index)
            difference = nodes.add("Sub", loop.image, baseline)
            alpha = nodes.add("Unsqueeze", nodes.add("Gather", alphas, index, axis=1), spread)
            gradient = loop.at(nodes.add("Add", baseline, nodes.add("Mul", alpha, difference)))
            return [nodes.add("Add", states[0], nodes.add("Mul", gradient, difference))]

        (total,) = loop.run(samples, 1, step)
        mean = nodes.add("Div", total, nodes.constant(samples, nodes.dtype(loop.image)))
        return loop.finish(image_map(loop.draft, mean, self.params.channels, self.params.sign))

    def fingerprint(self) -> str:
        """Changes with the images of the background."""
        folder = self.params.background
        return files_fingerprint(folder, background_files(folder)) if folder else ""

    def feeds(self, inputs: Floats, seeds: Sequence[int]) -> Mapping[str, NDArray[Any]]:
        drawn = [self._drawn(np.random.default_rng(seed), inputs.shape[1:]) for seed in seeds]
        return {name: np.stack([each[name] for each in drawn]) for name in drawn[0]}

    def _drawn(self, random: np.random.Generator, shape: tuple[int, ...]) -> Feeds:
        samples = self.params.samples
        return {"alpha": random.random(samples, np.float32), **self.baselines.draw(random, samples, shape)}


class Uniform:
    """Every value between black and white. Its input: `noise` (N, samples, ...), uniform in [0, 1)."""

    def append(self, loop: PointLoop, spec: InputSpec, samples: int) -> Callable[[str], str]:
        nodes, dtype = loop.graph, loop.graph.dtype(loop.image)
        noise = add_drawn_input(loop.draft, samples)
        black, white = (baseline_value(name, spec) for name in ("black", "white"))
        low, range_ = nodes.constant(black, dtype), nodes.constant(white - black, dtype)
        return lambda index: nodes.add("Add", low, nodes.add("Mul", range_, nodes.add("Gather", noise, index, axis=1)))

    def draw(self, random: np.random.Generator, samples: int, shape: tuple[int, ...]) -> Feeds:
        return {NOISE: random.random((samples, *shape), np.float32)}


@dataclass(frozen=True, slots=True)
class Background:
    """Images of a folder, stored in the graph at the model's input size. Its input: `choice` (N, samples), which."""

    images: Sequence[NDArray[np.uint8]]

    def append(self, loop: PointLoop, spec: InputSpec, samples: int) -> Callable[[str], str]:
        nodes = loop.graph
        images = nodes.constant(prepare(self.images, spec)[0], nodes.dtype(loop.image))
        choice = nodes.add_input("choice", np.int64, (loop.draft.batch, samples))
        return lambda index: nodes.add("Gather", images, nodes.add("Gather", choice, index, axis=1))

    def draw(self, random: np.random.Generator, samples: int, shape: tuple[int, ...]) -> Feeds:
        del shape
        return {"choice": random.integers(len(self.images), size=samples)}


def read_images(folder: Path) -> list[NDArray[np.uint8]]:
    """All pictures of a folder by name, (H, W, 3) uint8. Raises DataError for none, or one that can not be read."""
    return [_read(file) for file in background_files(folder)]


def background_files(folder: Path) -> list[Path]:
    """The pictures of a folder. Raises DataError when there is none."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise DataError(f"{folder}: no images for the background; one of {', '.join(_SUFFIXES)} is needed")
    return files


def _read(file: Path) -> NDArray[np.uint8]:
    try:
        return read_photograph(file)
    except UnreadableSample as error:
        raise DataError(f"{file}: a background image can not be read: {error}") from error
