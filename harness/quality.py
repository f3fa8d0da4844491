"""One accuracy or explain cell: images through the model once, every metric's rows from that one pass.

Three sources feed the metrics, cheapest first: rows stored earlier for the same content, predictions stored earlier,
the model itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness import identity
from harness.cache import IDS, Cache
from harness.card import ModelCard
from harness.contracts import Batch, Dataset, Metric, ModelFile, Progress, Samples, Unreadable
from harness.datasets import evenly_spaced
from harness.errors import CellError, DataError, PluginError
from harness.geometry import Fit, Size, place, prepare
from harness.host import blame, create
from harness.innermaps import Keeper
from harness.opened import OpenedModel, automatic_batch, available_threads, open_dataset, open_model
from harness.plan import Cell
from harness.prefetch import prefetched
from harness.results import CurveResult, MetricResult
from harness.showcase import CANDIDATES
from harness.stats import intervals, stable_seed
from harness.suite import MetricEntry
from harness.table import Table
from harness.tasks import TASKS

if TYPE_CHECKING:
    from harness.explaining import Explainer, KeptMaps


@dataclass(slots=True)
class Quality:
    """What a cell measured. rows: by metric id; predictions: with the column IDS; cached: the model did not run."""

    rows: dict[str, Table]
    predictions: Table
    unreadable: list[Unreadable] = field(default_factory=list)
    runs_on: str | None = None
    executed: Mapping[str, int] = field(default_factory=dict)
    forward_passes: int = 0
    map_ms: float | None = None
    map_passes: float | None = None
    maps: KeptMaps | None = None
    inner: Table | None = None

    @property
    def cached(self) -> bool:
        return self.forward_passes == 0


def measure(cell: Cell, file: ModelFile, cache: Cache, progress: Progress) -> tuple[Dataset, Quality]:
    """Rows of all the cell's metrics. Raises CellError (or a subclass) when the cell can not be measured."""
    if cell.dataset is None:
        raise ValueError(f"{cell.key} has no dataset")
    dataset = open_dataset(cell.dataset, cell.seed)
    facts = identity.of_dataset(cell.dataset, dataset, cell.seed)
    key = identity.digest(identity.of_predictions(cell, facts, file))
    keys = {metric.id: identity.digest([key, identity.of_metric(metric), cell.seed]) for metric in cell.metrics}
    rows = {id_: table for id_, row_key in keys.items() if (table := cache.table("rows", row_key)) is not None}
    known = _Stored.load(cache, key)
    missing = [metric for metric in cell.metrics if metric.id not in rows]
    if known is not None and not missing:
        return dataset, Quality(rows, known.predictions, known.unreadable, known.runs_on, known.executed,
                                maps=_kept(cell, cache, key), inner=cache.table("inner", key))
    # Maps are not stored, so an explain cell with a metric that has no rows yet needs the model again.
    reuse = known if cell.saliency is None else None
    quality = _measure(cell, dataset, file, missing, reuse, _Maps(cache, key), progress)
    for id_, table in quality.rows.items():
        cache.store_table("rows", keys[id_], table)
    if reuse is None:
        _Stored(quality.predictions, quality.unreadable, quality.runs_on, quality.executed).store(cache, key)
        if quality.inner is not None:
            cache.store_table("inner", key, quality.inner)
    else:
        quality.inner = cache.table("inner", key)
    quality.rows.update(rows)
    return dataset, quality


def summarize(cell: Cell, quality: Quality) -> tuple[dict[str, MetricResult], dict[str, CurveResult]]:
    """Every metric's numbers with intervals, and its curves, by result name."""
    results: dict[str, MetricResult] = {}
    curves: dict[str, CurveResult] = {}
    for entry in cell.metrics:
        with blame(entry.spec):
            metric: Metric = create(entry.spec, entry.params)
            rows = quality.rows[entry.id]
            summary = metric.summarize(rows)
            bounds = intervals(rows, metric.summarize, entry.spec.replicates, stable_seed(cell.seed, entry.id))
        for suffix in (*summary.scalars, *summary.curves):
            if suffix and suffix[0] not in "@.":
                raise PluginError(f'metric "{entry.spec.name}" of plugin {entry.spec.provider} names a result '
                                  f'"{suffix}"; a suffix is empty or starts with "@" or "."')
        for suffix, scalar in summary.scalars.items():
            results[entry.id + suffix] = MetricResult.of(scalar, bounds.get(suffix))
        for suffix, curve in summary.curves.items():
            curves[entry.id + suffix] = CurveResult(x=list(curve.x), y=list(curve.y), x_label=curve.x_label,
                                                    y_label=curve.y_label)
    return results, curves


@dataclass(frozen=True, slots=True)
class _Stored:
    """Predictions as they lie in the cache."""

    predictions: Table
    unreadable: list[Unreadable]
    runs_on: str | None
    executed: Mapping[str, int]

    @classmethod
    def load(cls, cache: Cache, key: str) -> _Stored | None:
        table, facts = cache.table("predictions", key), cache.facts("predictions", key)
        if table is None or facts is None:
            return None
        return cls(table, [Unreadable(*each) for each in facts["unreadable"]], facts["runs_on"],
                   facts.get("executed", {}))

    def store(self, cache: Cache, key: str) -> None:
        facts = {"unreadable": [[each.id, each.reason] for each in self.unreadable], "runs_on": self.runs_on,
                 "executed": dict(self.executed)}
        cache.store_facts("predictions", key, facts)
        cache.store_table("predictions", key, self.predictions)


class _Maps(NamedTuple):
    """Where saliency maps are kept: key is that of the predictions, which depend on all that maps depend on."""

    cache: Cache
    key: str


def _measure(cell: Cell, dataset: Dataset, file: ModelFile, missing: Sequence[MetricEntry], known: _Stored | None,
             maps: _Maps, progress: Progress) -> Quality:
    if known is not None:
        from harness.onnx.models import load_card

        quality = _collect(cell, dataset, missing, _Replay(cell, load_card(file), known.predictions), progress)
        return replace(quality, runs_on=known.runs_on, executed=known.executed)
    with open_model(cell, file, available_threads()) as model:
        explainer = _explainer(cell, model, maps)
        keeper = Keeper(TASKS[model.card.task], frozenset(evenly_spaced(len(dataset), CANDIDATES)))
        quality = _collect(cell, dataset, missing, _Live(cell, model, explainer, keeper), progress)
        quality = replace(quality, runs_on=model.runs_on, executed=model.executed, forward_passes=model.passes,
                          inner=keeper.table())
        if explainer is None:
            return quality
        explainer.kept.store(maps.key)
        quality = replace(quality, maps=explainer.kept)
        if not explainer.seconds:
            return quality
        seconds = median(explainer.seconds)
        return replace(quality, map_ms=1000 * seconds, map_passes=seconds / median(model.seconds))


def _kept(cell: Cell, cache: Cache, key: str) -> KeptMaps | None:
    if cell.saliency is None:
        return None
    from harness.explaining import KeptMaps

    return KeptMaps.load(cache, key)


def _explainer(cell: Cell, model: OpenedModel, maps: _Maps) -> Explainer | None:
    if cell.saliency is None:
        return None
    from harness.explaining import Explainer  # onnx is needed by explain cells only

    return Explainer.of(cell, cell.saliency, model, maps.cache, maps.key)


def _collect(cell: Cell, dataset: Dataset, missing: Sequence[MetricEntry], origin: _Replay | _Live,
             progress: Progress) -> Quality:
    """Every batch through every metric; the next one is read and prepared meanwhile."""
    metrics: dict[str, Metric] = {entry.id: create(entry.spec, entry.params) for entry in missing}
    rows: dict[str, list[Table]] = {entry.id: [] for entry in missing}
    predictions: list[Table] = []
    unreadable: list[Unreadable] = []
    done, total = 0, len(dataset)
    for loaded in prefetched(_load(cell, dataset, origin.card, origin.prepares)):
        batch = loaded.batch
        unreadable += batch.unreadable
        if batch.ids:
            samples = origin.samples(loaded)
            for entry in missing:
                rows[entry.id].append(_rows(entry, metrics[entry.id], samples))
            predictions.append(Table({IDS: np.array(samples.ids), **samples.predictions}))
        done += len(batch.ids) + len(batch.unreadable)
        progress(cell.key, done, total)
    if not predictions:
        reasons = "; ".join(f"{each.id}: {each.reason}" for each in unreadable[:3])
        raise DataError(f"none of the {total} samples of {_name(cell)} can be read: {reasons}")
    if done != total:
        raise PluginError(f"{_name(cell)} gave {done} samples, and its length is {total}")
    return Quality({id_: Table.concat(tables) for id_, tables in rows.items()}, Table.concat(predictions), unreadable)


def _name(cell: Cell) -> str:
    return f'dataset "{cell.dataset.id}"' if cell.dataset is not None else "no dataset"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A batch as read, and as the model sees it: (N, ...) float32 and how each image was placed."""

    batch: Batch
    inputs: NDArray[np.float32] | None
    fits: Sequence[Fit]


def _load(cell: Cell, dataset: Dataset, card: ModelCard, prepared: bool) -> Iterator[_Loaded]:
    """The dataset batch by batch; prepared: as model input, too."""
    if cell.dataset is None:
        return
    with blame(cell.dataset.spec):
        for batch in dataset.batches(cell.batch_size or automatic_batch(card.input, cell.backend.device)):
            inputs, fits = prepare(batch.images, card.input) if prepared and batch.ids else (None, [])
            yield _Loaded(batch, inputs, fits)


def _rows(entry: MetricEntry, metric: Metric, samples: Samples) -> Table:
    with blame(entry.spec):
        rows = metric.measure(samples)
    if rows.rows != len(samples.ids):
        raise PluginError(f'metric "{entry.spec.name}" of plugin {entry.spec.provider} gave {rows.rows} rows for '
                          f"{len(samples.ids)} samples")
    return rows


@dataclass(slots=True)
class _Replay:
    """Samples with stored predictions: the model is not opened. position: in the stored table."""

    cell: Cell
    card: ModelCard
    predictions: Table
    position: int = 0
    prepares: ClassVar[bool] = False

    def samples(self, loaded: _Loaded) -> Samples:
        batch = loaded.batch
        stored = self.predictions.take(np.arange(self.position, self.position + len(batch.ids)))
        self.position += len(batch.ids)
        if list(stored.dense(IDS)) != list(batch.ids):
            raise CellError("stored predictions do not belong to these samples; run with --fresh")
        fits = [place(Size(*image.shape[:2]), self.card.input) for image in batch.images]
        return Samples(batch.ids, batch.targets, stored.select([name for name in stored if name != IDS]), self.card,
                       seed=_seed(self.cell), images=batch.images, fits=fits)


@dataclass(slots=True)
class _Live:
    """Samples sent through the model."""

    cell: Cell
    model: OpenedModel
    explainer: Explainer | None
    keeper: Keeper
    prepares: ClassVar[bool] = True

    @property
    def card(self) -> ModelCard:
        return self.model.card

    def samples(self, loaded: _Loaded) -> Samples:
        batch, inputs = loaded.batch, loaded.inputs
        if self.explainer is None and self._in_tiles(batch):
            predictions = self.model.segment(batch.images, batch.ids)
            return Samples(batch.ids, batch.targets, predictions, self.card, seed=_seed(self.cell),
                           images=batch.images)
        if inputs is None:
            raise ValueError("a batch was not prepared")
        outputs = self.model.outputs(inputs, batch.ids)
        self.keeper.see(outputs, len(batch.ids))
        samples = Samples(batch.ids, batch.targets, self.model.to_native(outputs, loaded.fits), self.card,
                          seed=_seed(self.cell), images=batch.images, inputs=inputs, fits=loaded.fits)
        return self.explainer.explain(samples) if self.explainer else samples

    def _in_tiles(self, batch: Batch) -> bool:
        card = self.model.card
        return (card.tile is not None and card.input.fit == "tile"
                and any(image.shape[:2] != card.input.size for image in batch.images))


def _seed(cell: Cell) -> int:
    return stable_seed(cell.seed, cell.key)
