"""Batches of maps with what they should show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.card import InputSpec, ModelCard
from harness.contracts import Metric, Samples
from harness.geometry import Size, place
from harness.host import Host, create
from harness.specs import MetricSpec
from harness.table import Table
from harness.tasks import ClassificationTarget

Array = NDArray[Any]


def make_batch(maps: Sequence[Array], *, boxes: Sequence[Any] | None = None, masks: Sequence[Any] | None = None,
               ignore: Sequence[Any] | None = None, right: Sequence[bool] | None = None,
               classes: Sequence[int] | None = None, native: tuple[int, int] | None = None, **fields: Any) -> Samples:
    """Samples of two classes at the size of the maps.

    boxes: (M, 4) for each map; right: whether the top-1 class is the label; native: size of the images, by default that
    of the maps; spec: keys of the input.
    """
    stacked = np.stack([np.asarray(each, np.float32) for each in maps])
    count, size = len(stacked), Size(*stacked.shape[1:])
    card = ModelCard(task="classification", input=InputSpec(size=size, **fields.pop("spec", {})), labels=["no", "yes"])

    def at(values: Sequence[Any] | None, index: int, dtype: Any) -> Array | None:
        return None if values is None or values[index] is None else np.asarray(values[index], dtype)

    targets = []
    for index in range(count):
        edges = at(boxes, index, np.float32)
        targets.append(ClassificationTarget(label="yes", boxes=None if edges is None else edges.reshape(-1, 4),
                                            mask=at(masks, index, bool), ignore=at(ignore, index, bool)))
    correct = np.ones(count, bool) if right is None else np.asarray(right)
    logits = np.stack([~correct, correct], axis=1).astype(np.float32)
    given = np.ones(count, np.int64) if classes is None else np.asarray(classes, np.int64)
    return Samples([f"s{index}" for index in range(count)], targets, Table({"logits": logits}), card, saliency=stacked,
                   fits=[place(Size(*(native or size)), card.input)] * count, classes=given, **fields)


@pytest.fixture(scope="session")
def batch() -> Callable[..., Samples]:
    return make_batch


@pytest.fixture(scope="session")
def metric() -> Callable[..., Metric]:
    """metric("localization-error", region="box"): as a suite would make it."""
    host = Host.discover()

    def make(name: str, **params: Any) -> Metric:
        spec = host.spec(MetricSpec, name)
        made: Metric = create(spec, spec.params.model_validate(params))
        return made

    return make


@pytest.fixture(scope="session")
def values(metric: Callable[..., Metric]) -> Callable[..., dict[str, float | None]]:
    """values(samples, "localization-error", region="box"): result suffix -> value."""

    def measured(samples: Samples, name: str, **params: Any) -> dict[str, float | None]:
        made = metric(name, **params)
        return {suffix: scalar.value for suffix, scalar in made.summarize(made.measure(samples)).scalars.items()}

    return measured
