"""The reference detector, trained by its recipe: what the shipped export and three seeds reach."""

from pathlib import Path

import numpy as np
import pytest

from harness.exports import load_export, shipped
from harness.host import Host
from harness.specs import ModelSpec

BARS = {"coco-map": 0.93, "coco-map@0.5": 0.99, "scale-specialization.circle@56x56": 0.98,
        "scale-specialization.triangle@14x14": 0.93}
SMALL = [{"stride": stride, "scales": [16, 24, 32]} for stride in (4, 8, 16)]


def trained(folder: Path, changes: dict, params: dict | None = None):
    """The record of an export trained with changes of the recipe."""
    pytest.importorskip("torch")
    from harness.export import export
    from harness.train import Job, create_model, merge_recipe, train

    host = Host.discover()
    spec = host.spec(ModelSpec, "multiscale-detector")
    chosen = spec.params.model_validate(params or {})
    job = Job("detector", spec, chosen, merge_recipe(create_model(spec, chosen), changes), folder / "checkpoint")
    train(host, job)
    return export(host, job.folder, folder / "exports")


@pytest.fixture(scope="module")
def record():
    return load_export(shipped() / "multiscale-detector")


@pytest.mark.parametrize("name", BARS)
def test_shipped_export_reaches_the_bars(record, name):
    assert record.accuracy[name].value >= BARS[name]


def test_shipped_export_is_small_and_equal_to_torch(record):
    assert record.dataset.params["count"] >= 300
    assert max(record.parity.values()) <= 1e-4
    files = [*record.files.values(), *record.raw.values(), record.golden, record.snapshots]
    assert max(file.bytes for file in files) < 4e6


@pytest.mark.slow
def test_three_seeds(tmp_path, record_property):
    records = [trained(tmp_path / str(seed), {"seed": seed}) for seed in range(3)]
    for name, bar in BARS.items():
        values = [record.accuracy[name].value for record in records]
        record_property(name, values)
        assert np.mean(values) >= bar, f"{name}: {values}"


@pytest.mark.slow
def test_small_anchors_on_every_level(tmp_path, record_property):
    """No anchor fits a triangle; only the forced best ones are trained. What that costs is recorded, not judged."""
    metrics = {"coco-map": {}, "anchor-coverage": {}, "class-confusion": {}}
    record = trained(tmp_path, {"metrics": metrics}, {"levels": SMALL})
    assert record.accuracy["anchor-coverage.triangle"].value == 0
    assert record.accuracy["anchor-coverage.circle"].value == 1
    for name in ("coco-map", "coco-map@0.5", "coco-map.class-triangle", "class-confusion.triangle@missed"):
        record_property(name, record.accuracy[name].value)
