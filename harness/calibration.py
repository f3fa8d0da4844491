"""On what a model's int8 file is calibrated: its own training data, or a dataset that the suite names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from harness.errors import PluginError, UsageError
from harness.host import Host
from harness.onnx.precision.settings import Int8Settings
from harness.specs import DatasetSpec, MetricSpec, ModelSpec
from harness.suite import Calibration, CalibrationTable, DatasetEntry, MetricEntry
from harness.trainable import Recipe


def of_recipe(host: Host, spec: ModelSpec, train: Mapping[str, Any], asked: CalibrationTable) -> Calibration | None:
    """Ranges on the recipe's training split, the search on its validation split with its first metric.

    train: changes to the recipe. None when the recipe names no dataset, or names what is not there.
    """
    try:
        return of_training(host, spec.recipe.model_validate(dict(train)), asked)
    except (ValidationError, PluginError, UsageError):  # reported where it matters; int8 may not be wanted at all
        return None


def of_training(host: Host, recipe: Recipe, asked: CalibrationTable) -> Calibration | None:
    """As `of_recipe`, of a complete recipe. Raises PluginError for a dataset or metric that no plugin provides."""
    if not recipe.dataset:
        return None
    spec = host.spec(DatasetSpec, recipe.dataset)
    train, check = (
        DatasetEntry(f"{spec.name}:{split}", spec,
                     spec.params.model_validate({**recipe.dataset_params, "split": split, "count": count}))
        for split, count in ((asked.split or "train", recipe.train_count), ("val", recipe.val_count)))
    wanted = {asked.metric: recipe.metrics.get(asked.metric, {})} if asked.metric else recipe.metrics
    metrics = [_metric(host, name, params) for name, params in wanted.items()]
    return Calibration(train, asked.count, settings(asked), check, metrics[0] if metrics else None, asked.max_loss)


def of_dataset(entry: DatasetEntry, metric: MetricEntry | None, asked: CalibrationTable) -> Calibration:
    """Ranges on a split of a suite's dataset, the search on the dataset as the suite has it."""
    chosen = entry
    if asked.split is not None:
        params = type(entry.params).model_validate({**entry.params.model_dump(), "split": asked.split})
        chosen = replace(entry, params=params)
    return Calibration(chosen, asked.count, settings(asked), entry if metric else None, metric, asked.max_loss)


def settings(asked: CalibrationTable) -> Int8Settings:
    """Only what decides the quantization."""
    return Int8Settings(**{name: getattr(asked, name) for name in Int8Settings.model_fields})


def _metric(host: Host, name: str, params: Mapping[str, Any]) -> MetricEntry:
    spec = host.spec(MetricSpec, name)
    return MetricEntry(name, spec, spec.params.model_validate(dict(params)))
