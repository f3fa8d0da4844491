"""Gradients added up over points: on a path from a baseline, or under noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from harness.api import ExplainerDraft, InputSpec, ModelCard, Rules, normalize
from harness_saliency.graph_generator import NoFeeds
from harness_saliency.graph_params import IntegratedGradientsParams, SmoothGradParams
from harness_saliency.loop import PointLoop
from harness_saliency.maps import image_map, over_axes

Floats = NDArray[np.float32]
NOISE = "noise"


class IntegratedGradients(NoFeeds):
    """(x - x0) times the mean gradient on the straight path from the baseline x0. Sundararajan et al. 2017, eq. 1.

    Summed over an image, the attribution approaches f(x) - f(x0) as steps grow (completeness).
    """

    def __init__(self, params: IntegratedGradientsParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        loop = PointLoop(graph, card, rules)
        nodes, dtype = loop.graph, loop.graph.dtype(loop.image)
        places, weights = (nodes.constant(values, dtype) for values in quadrature(self.params.rule, self.params.steps))
        baseline = nodes.constant(baseline_value(self.params.baseline, card.input), dtype)
        difference = nodes.add("Sub", loop.image, baseline)

        def step(index: str, states: Sequence[str]) -> list[str]:
            along = nodes.add("Mul", difference, nodes.add("Gather", places, index))
            gradient = loop.at(nodes.add("Add", along, baseline))
            return [nodes.add("Add", states[0], nodes.add("Mul", gradient, nodes.add("Gather", weights, index)))]

        (mean,) = loop.run(self.params.steps, 1, step)
        attribution = nodes.add("Mul", difference, mean)
        return loop.finish(image_map(loop.draft, attribution, self.params.channels, self.params.sign))


class SmoothGrad:
    """Gradients of images under noise. Smilkov et al. 2017, section 3: the standard deviation is sigma (max - min).

    The noise is an input of the graph, (N, samples, ...) standard normal, so that maps are reproducible by seed.
    """

    def __init__(self, params: SmoothGradParams) -> None:
        self.params = params

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        loop = PointLoop(graph, card, rules)
        nodes = loop.graph
        noise = add_drawn_input(loop.draft, self.params.samples)
        deviation = nodes.add("Mul", _range(loop.draft), nodes.constant(self.params.sigma, nodes.dtype(loop.image)))

        def step(index: str, states: Sequence[str]) -> list[str]:
            shift = nodes.add("Mul", nodes.add("Gather", noise, index, axis=1), deviation)
            return self._updated(loop, index, states, loop.at(nodes.add("Add", loop.image, shift)))

        *_means, total = loop.run(self.params.samples, 2 if self.params.variant == "variance" else 1, step)
        attribution = nodes.add("Div", total, nodes.constant(self.params.samples, nodes.dtype(loop.image)))
        return loop.finish(image_map(loop.draft, attribution, self.params.channels, self.params.sign))

    def feeds(self, inputs: Floats, seeds: Sequence[int]) -> Mapping[str, NDArray[Any]]:
        shape = (self.params.samples, *inputs.shape[1:])
        return {NOISE: np.stack([np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds])}

    def _updated(self, loop: PointLoop, index: str, states: Sequence[str], gradient: str) -> list[str]:
        """The last state is divided by the number of samples in the end."""
        nodes = loop.graph
        if self.params.variant == "mean":
            return [nodes.add("Add", states[0], gradient)]
        if self.params.variant == "squared":
            return [nodes.add("Add", states[0], nodes.add("Mul", gradient, gradient))]
        # Welford 1962: the difference of two large means would lose a small variance in float32.
        mean, squares = states
        dtype = nodes.dtype(loop.image)
        count = nodes.add("Add", nodes.add("CastLike", index, gradient), nodes.constant(1, dtype))
        before = nodes.add("Sub", gradient, mean)
        new = nodes.add("Add", mean, nodes.add("Div", before, count))
        after = nodes.add("Sub", gradient, new)
        return [new, nodes.add("Add", squares, nodes.add("Mul", before, after))]


def quadrature(rule: str, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places in [0, 1] and weights, (steps,) each; weights add up to 1. Trapezoid with one step: the middle."""
    if rule == "gauss-legendre":
        places, weights = np.polynomial.legendre.leggauss(steps)
        return (places + 1) / 2, weights / 2
    if rule == "trapezoid" and steps > 1:
        weights = np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, steps), weights
    offset = {"left": 0.0, "right": 1.0}.get(rule, 0.5)
    return (np.arange(steps) + offset) / steps, np.full(steps, 1 / steps)


def baseline_value(name: str, spec: InputSpec) -> Floats:
    """A named baseline as the model sees it: one value, or one for each channel, (1, C, 1, 1) or (1, 1, 1, C)."""
    if name == "zero":
        return np.zeros((), np.float32)
    level = 0 if name == "black" else 255
    return normalize(np.full((1, 1, 1, spec.channels), level, np.uint8), spec)


def add_drawn_input(draft: ExplainerDraft, samples: int) -> str:
    """The input `noise` (N, samples, ...), the rest as the image."""
    _, *rest = draft.graph.shape(draft.image) or ()
    return draft.graph.add_input(NOISE, draft.graph.dtype(draft.image), (draft.batch, samples, *rest))


def _range(draft: ExplainerDraft) -> str:
    """Largest minus smallest value of each image, (N, 1, 1, 1)."""
    ends = [over_axes(draft.graph, kind, draft.image, [1, 2, 3], keep=True) for kind in ("ReduceMax", "ReduceMin")]
    return draft.graph.add("Sub", *ends)
