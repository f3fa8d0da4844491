"""A model file against prepared samples: predictions through onnxruntime and metrics over them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.card import ModelCard
from harness.contracts import Metric, ModelFile, Samples
from harness.flat import by_sample
from harness.host import Host, blame, create
from harness.prepared import Prepared
from harness.results import MetricResult
from harness.specs import MetricSpec
from harness.suite import MetricEntry
from harness.table import Table
from harness.tasks import TASKS

_BATCH = 16


def card_of(path: Path) -> ModelCard:
    """The card in the file's metadata; raises ModelFileError without a usable one."""
    from harness.onnx.models import load_card

    return load_card(ModelFile(path))


def run_batches(path: Path, inputs: np.ndarray[Any, Any], batch: int) -> Table:
    """The task's outputs for (N, ...) float32 inputs, at most `batch` at a time, on the CPU with one thread.

    One row per sample, in model input pixels; flat outputs as ragged columns.
    """
    from harness.onnx.runner import ModelRunner
    from harness.onnx.session import open_session

    session = open_session(path)
    try:
        runner = ModelRunner(session, card_of(path), path)
        task = TASKS[runner.card.task]
        parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
        pieces = [Table(by_sample(task, runner.predict(part), len(part))) for part in parts]
    finally:
        session.close()
    return Table.concat(pieces)


def predict(path: Path, data: Prepared) -> tuple[ModelCard, Table]:
    """The model's card and its stored outputs for all samples, in native pixels."""
    from harness.onnx.runner import ModelRunner
    from harness.onnx.session import open_session
    from harness.opened import OpenedModel

    card = card_of(path)
    session = open_session(path)
    try:
        model = OpenedModel(path.parent.name, path, card, ModelRunner(session, card, path))
        tables = []
        for start in range(0, len(data), _BATCH):
            part = slice(start, start + _BATCH)
            tables.append(model.to_native(model.outputs(data.inputs(part), data.ids[part]), data.fits[part]))
    finally:
        session.close()
    return card, Table.concat(tables)


def accuracy(host: Host, path: Path, data: Prepared, metrics: Mapping[str, Mapping[str, Any]], *,
             intervals: bool = True) -> dict[str, MetricResult]:
    """Every number of the given metrics (plugin -> params), by result name.

    Raises CellError for outputs that are not finite, PluginError for a metric that no plugin provides.
    """
    return measured(path, data, metric_entries(host, metrics), intervals=intervals)


def metric_entries(host: Host, metrics: Mapping[str, Mapping[str, Any]]) -> list[MetricEntry]:
    """Metric plugins with their params. Raises PluginError for one that no plugin provides."""
    specs = {name: host.spec(MetricSpec, name) for name in metrics}
    return [MetricEntry(name, spec, spec.params.model_validate(dict(metrics[name]))) for name, spec in specs.items()]


def measured(path: Path, data: Prepared, metrics: Sequence[MetricEntry], *,
             intervals: bool = True) -> dict[str, MetricResult]:
    """Every number of the given metrics, by result name. Raises CellError for outputs that are not finite."""
    card, predictions = predict(path, data)
    samples = Samples(data.ids, data.targets, predictions, card, fits=data.fits)
    results: dict[str, MetricResult] = {}
    for entry in metrics:
        with blame(entry.spec):
            metric: Metric = create(entry.spec, entry.params)
            rows = metric.measure(samples)
            results |= _summarized(entry.id, entry.spec, metric, rows, intervals)
    return results


def _summarized(name: str, spec: MetricSpec, metric: Metric, rows: Table,
                with_intervals: bool) -> dict[str, MetricResult]:
    from harness.stats import intervals, stable_seed

    bounds = intervals(rows, metric.summarize, spec.replicates, stable_seed(0, name)) if with_intervals else {}
    return {
        name + suffix: MetricResult.of(scalar, bounds.get(suffix))
        for suffix, scalar in metric.summarize(rows).scalars.items()
    }
