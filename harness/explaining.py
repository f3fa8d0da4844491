"""Saliency maps of a cell's samples: made by its generator, kept by content, with what they cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

import numpy as np
import onnx
from numpy.typing import NDArray

from harness import identity
from harness.cache import IDS, Cache
from harness.card import ModelCard
from harness.contracts import Samples
from harness.errors import PluginError, TaskMismatch
from harness.gradient_rules import gradient_rules
from harness.handle import Handle
from harness.host import blame, create
from harness.opened import OpenedModel
from harness.params import Params
from harness.plan import Cell
from harness.saliency import GraphGenerator, ModelHandle, SaliencyGenerator, StoredMaps
from harness.specs import GradientRuleSpec, SaliencySpec
from harness.stats import stable_seed
from harness.suite import SaliencyEntry
from harness.table import Table
from harness.tasks import ClassificationTarget

Floats = NDArray[np.float32]
_MAPS, _PLACES = "maps", "map-places"


@dataclass(slots=True)
class GraphExplainer:
    """A GraphGenerator as a SaliencyGenerator: its graph is built and opened once for each model.

    rules: gradient rules of plugins, beside the standard ones.
    """

    generator: GraphGenerator
    rules: Sequence[GradientRuleSpec] = ()
    graphs: WeakKeyDictionary[ModelHandle, onnx.ModelProto] = field(default_factory=WeakKeyDictionary)

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        graph = self.graphs.get(model)
        if graph is None:
            graph = self.graphs[model] = self.build(model.graph, model.card)
        image: str = model.graph.graph.input[0].name
        feeds: dict[str, NDArray[Any]] = {image: inputs, "class": classes, **self.generator.feeds(inputs, seeds)}
        return model.run(graph, feeds)["saliency"].astype(np.float32, copy=False)

    def build(self, graph: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
        """The explainer as a model. Raises ModelFileError, PluginError for a rule that fails."""
        return self.generator.build(graph, card, gradient_rules(self.rules))


@dataclass(frozen=True, slots=True)
class StoredExplainer:
    """StoredMaps as a SaliencyGenerator: there is nothing to say of other inputs, or of another model."""

    stored: StoredMaps

    def explain(self, model: ModelHandle, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        del model, inputs, classes, seeds
        raise TaskMismatch("maps that were made elsewhere are known for the samples alone: a metric that explains "
                           "changed inputs or models can not be computed with them")


def generator_of(spec: SaliencySpec, params: Params, rules: Sequence[GradientRuleSpec] = ()) -> SaliencyGenerator:
    """A declaration's generator, whichever kind it is. rules: of plugins, for generators of graphs."""
    made = create(spec, params)
    if spec.stored:
        return StoredExplainer(cast(StoredMaps, made))
    return GraphExplainer(cast(GraphGenerator, made), rules) if spec.graph else cast(SaliencyGenerator, made)


class KeptMap(NamedTuple):
    """values: (H, W) float32 raw at the model's input size; class_: what it explains."""

    values: Floats
    class_: int


@dataclass(slots=True)
class KeptMaps:
    """Where the maps of a cell lie in the cache: sample id -> key of the batch, row in it, class."""

    cache: Cache
    places: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    @classmethod
    def load(cls, cache: Cache, key: str) -> KeptMaps:
        """key: of the cell's predictions. Of nothing where nothing is stored."""
        facts = cache.facts(_PLACES, key) or {}
        return cls(cache, {id_: (batch, row, class_) for id_, (batch, row, class_) in facts.items()})

    def store(self, key: str) -> None:
        self.cache.store_facts(_PLACES, key, self.places)

    def find(self, id_: str) -> KeptMap | None:
        """One sample's map, None when the cache has lost it."""
        if id_ not in self.places:
            return None
        batch, row, class_ = self.places[id_]
        # What this very run has stored may be read, also where nothing older may.
        table = replace(self.cache, enabled=True).table(_MAPS, batch)
        return None if table is None else KeptMap(table.dense(_MAPS)[row], class_)


@dataclass(slots=True)
class Explainer:
    """Adds saliency maps to samples. seconds: a map, by batch, of those that were not cached; kept: where maps lie."""

    cell: Cell
    entry: SaliencyEntry
    model: OpenedModel
    handle: Handle
    generator: SaliencyGenerator
    cache: Cache
    key: str
    kept: KeptMaps
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, cell: Cell, entry: SaliencyEntry, model: OpenedModel, cache: Cache, key: str) -> Explainer:
        """key: of the cell's predictions, which depend on all that maps depend on."""
        with blame(entry.spec):
            generator = generator_of(entry.spec, entry.params, entry.rules)
        return cls(cell, entry, model, model.handle, generator, cache, key, KeptMaps(cache))

    def explain(self, samples: Samples) -> Samples:
        """The samples with `saliency`, `classes`, `seeds`, `predict`, `explain` and `model`."""
        if samples.inputs is None:
            raise ValueError("maps are made of inputs, not of stored predictions")
        classes = self._classes(samples)
        seeds = [stable_seed(self.cell.seed, id_) for id_ in samples.ids]
        maps = self._maps(samples, samples.inputs, classes, seeds)
        return replace(samples, saliency=maps, classes=classes, seeds=seeds, predict=self.handle.predict,
                       explain=self._explain, model=self.handle)

    def _maps(self, samples: Samples, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int]) -> Floats:
        ids = samples.ids
        key = identity.digest([self.key, _MAPS, list(ids)])
        self.kept.places.update({id_: (key, row, int(classes[row])) for row, id_ in enumerate(ids)})
        stored = self.cache.table(_MAPS, key)
        if stored is not None:
            return stored.dense(_MAPS)
        started = time.perf_counter()
        if isinstance(self.generator, StoredExplainer):
            maps = self._stored(self.generator.stored, samples)
        else:
            maps = self._explain(inputs, classes, seeds)
        self.seconds.append((time.perf_counter() - started) / len(ids))
        self.cache.store_table(_MAPS, key, Table({IDS: np.array(ids), _MAPS: maps}))
        return maps

    def _stored(self, stored: StoredMaps, samples: Samples) -> Floats:
        with blame(self.entry.spec):
            maps = stored.maps(samples.ids, samples.fits or [])
        check_maps(self.entry.spec, maps, (len(samples.ids), *self.model.card.input.size))
        return maps

    def _explain(self, inputs: Floats, classes: NDArray[np.int64], seeds: Sequence[int],
                 model: ModelHandle | None = None) -> Floats:
        with blame(self.entry.spec):
            maps = self.generator.explain(model or self.handle, inputs, classes, seeds)
        check_maps(self.entry.spec, maps, (len(inputs), *self.model.card.input.size))
        return maps

    def _classes(self, samples: Samples) -> NDArray[np.int64]:
        if self.cell.target == "predicted":
            known = "logits" in samples.predictions
            scores = samples.predictions.dense("logits") if known else self.handle.predict(cast(Floats, samples.inputs))
            return ranked_classes(scores, self.model.card)[:, 0]
        labels = [target.label for target in samples.targets if isinstance(target, ClassificationTarget)]
        if len(labels) != len(samples.targets):
            raise TaskMismatch(f"{self.cell.key}: only classification targets have a label to explain; set "
                               'target = "predicted" to explain the highest score')
        return self.model.class_indices(labels)


def ranked_classes(scores: NDArray[Any], card: ModelCard) -> NDArray[np.int64]:
    """(N, K) scores -> (N, K) class indices, the highest score first, equal ones in order; without the background.

    A detector's background is no class to explain: then there are K - 1.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    background = card.decoder.background if card.decoder else None
    if background is not None:
        order = order[order != background].reshape(len(order), -1)
    return np.asarray(order, np.int64)


def check_maps(spec: SaliencySpec, maps: NDArray[np.float32], expected: tuple[int, ...]) -> None:
    """Raises PluginError when maps have another shape."""
    if maps.shape != expected:
        raise PluginError(f'saliency "{spec.name}" of plugin {spec.provider} gave maps of shape {maps.shape}, '
                          f"expected {expected}")


