"""Saliency maps of a cell's samples: made by its generator, kept by content, with what they cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import onnx
from numpy.typing import NDArray

from harness import identity
from harness.cache import IDS, Cache
from harness.contracts import GraphGenerator, ModelHandle, SaliencyGenerator, Samples
from harness.errors import PluginError, TaskMismatch
from harness.handle import Handle
from harness.host import blame, create
from harness.opened import OpenedModel
from harness.plan import Cell
from harness.specs import SaliencySpec
from harness.stats import stable_seed
from harness.suite import SaliencyEntry
from harness.table import Table
from harness.tasks import ClassificationTarget

Floats = NDArray[np.float32]
_MAPS = "maps"


@dataclass(slots=True)
class GraphExplainer:
    """A GraphGenerator as a SaliencyGenerator: its graph is built and opened once for each model."""

    generator: GraphGenerator
    graphs: WeakKeyDictionary[ModelHandle, onnx.ModelProto] = field(default_factory=WeakKeyDictionary)

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        graph = self.graphs.get(model)
        if graph is None:
            graph = self.graphs[model] = self.generator.build(model.graph, model.card)
        image: str = model.graph.graph.input[0].name
        feeds: dict[str, NDArray[Any]] = {image: inputs, "class": classes, **self.generator.feeds(inputs, seeds)}
        return model.run(graph, feeds)["saliency"].astype(np.float32, copy=False)


def generator_of(entry: SaliencyEntry) -> SaliencyGenerator:
    """The suite's generator, whichever kind it is."""
    made = create(entry.spec, entry.params)
    return GraphExplainer(cast(GraphGenerator, made)) if entry.spec.graph else cast(SaliencyGenerator, made)


@dataclass(slots=True)
class Explainer:
    """Adds saliency maps to samples. seconds: a map, by batch, of those that were not cached."""

    cell: Cell
    entry: SaliencyEntry
    model: OpenedModel
    handle: Handle
    generator: SaliencyGenerator
    cache: Cache
    key: str
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, cell: Cell, entry: SaliencyEntry, model: OpenedModel, cache: Cache, key: str) -> Explainer:
        """key: of the cell's predictions, which depend on all that maps depend on."""
        with blame(entry.spec):
            generator = generator_of(entry)
        return cls(cell, entry, model, model.handle, generator, cache, key)

    def explain(self, samples: Samples) -> Samples:
        """The samples with `saliency`, `classes`, `predict`, `explain` and `model`."""
        if samples.inputs is None:
            raise ValueError("maps are made of inputs, not of stored predictions")
        classes = self._classes(samples)
        maps = self._maps(samples.ids, samples.inputs, classes)
        return replace(samples, saliency=maps, classes=classes, predict=self.handle.predict, explain=self._explain,
                       model=self.handle)

    def _maps(self, ids: Sequence[str], inputs: Floats, classes: NDArray[np.int64]) -> Floats:
        key = identity.digest([self.key, _MAPS, list(ids)])
        stored = self.cache.table(_MAPS, key)
        if stored is not None:
            return stored.dense(_MAPS)
        started = time.perf_counter()
        maps = self._explain(inputs, classes, [stable_seed(self.cell.seed, id_) for id_ in ids])
        self.seconds.append((time.perf_counter() - started) / len(ids))
        self.cache.store_table(_MAPS, key, Table({IDS: np.array(ids), _MAPS: maps}))
        return maps

    def _explain(self, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int],
                 model: ModelHandle | None = None) -> Floats:
        with blame(self.entry.spec):
            maps = self.generator.explain(model or self.handle, inputs, classes, seeds)
        check_maps(self.entry.spec, maps, (len(inputs), *self.model.card.input.size))
        return maps

    def _classes(self, samples: Samples) -> NDArray[np.int64]:
        if self.cell.target == "predicted":
            if "logits" in samples.predictions:
                return np.asarray(samples.predictions.dense("logits").argmax(axis=1), np.int64)
            return np.asarray(self.handle.predict(cast(Floats, samples.inputs)).argmax(axis=1), np.int64)
        labels = [target.label for target in samples.targets if isinstance(target, ClassificationTarget)]
        if len(labels) != len(samples.targets):
            raise TaskMismatch(f"{self.cell.key}: only classification targets have a label to explain; set "
                               'target = "predicted" to explain the highest score')
        return self.model.class_indices(labels)


def check_maps(spec: SaliencySpec, maps: NDArray[np.float32], expected: tuple[int, ...]) -> None:
    """Raises PluginError when maps have another shape."""
    if maps.shape != expected:
        raise PluginError(f'saliency "{spec.name}" of plugin {spec.provider} gave maps of shape {maps.shape}, '
                          f"expected {expected}")


