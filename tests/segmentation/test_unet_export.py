"""The shipped export of UNet on cells, and its training over three seeds with and without the border weight map."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from harness.contracts import ModelFile
from harness.discovery import Disabled
from harness.exports import load_export, shipped
from harness.host import Host, HostConfig
from harness.onnx.metadata import graph_interface
from harness.onnx.models import load_card
from harness.specs import ModelSpec
from harness.verify import verify

FOLDER = shipped() / "unet-cells"
BARS = {"iou": 0.95, "dice": 0.975, "instance-f1": 0.98}


def host() -> Host:
    return Host.discover(HostConfig(Disabled(frozenset({"third-party"}))))


def test_the_shipped_export_is_as_recorded() -> None:
    checks = list(verify(host(), FOLDER, accuracy=False))
    assert [check for check in checks if not check.passed] == []
    assert all(path.stat().st_size < 4_000_000 for path in FOLDER.iterdir())
    record = load_export(FOLDER)
    assert record.parity["logits"] <= 1e-4
    assert {name: record.accuracy[name].value for name in BARS if (record.accuracy[name].value or 0) < BARS[name]} == {}


def test_height_and_width_are_free() -> None:
    path = FOLDER / "model.fp32.onnx"
    (image,), (logits,) = graph_interface(path)
    assert image.shape[1] == 1
    assert not any(isinstance(image.shape[axis], int) for axis in (0, 2, 3))
    assert logits.shape[1] == 2
    card = load_card(ModelFile(path))
    assert card.labels == ["background", "cell"]
    assert card.tile is not None
    assert (card.tile.step, card.tile.margin, card.tile.radius) == (8, 0, 51)


@pytest.mark.slow
def test_three_seeds_with_and_without_the_border_weight_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from harness.export import export
    from harness.train import Job, create_model, merge_recipe, train

    machine = host()
    spec = machine.spec(ModelSpec, "unet")
    found: dict[float, list[dict[str, float]]] = {}
    for border in (10.0, 0.0):
        params = spec.params.model_validate({"border_weight": border})
        for seed in range(3):
            recipe = merge_recipe(create_model(spec, params), {"seed": seed})
            job = Job(id=f"unet-{border:g}-{seed}", spec=spec, params=params, recipe=recipe,
                      folder=tmp_path / f"{border:g}-{seed}")
            train(machine, job)
            record = export(machine, job.folder, tmp_path / "exports")
            found.setdefault(border, []).append({name: record.accuracy[name].value or 0.0 for name in BARS})
    means = {border: {name: mean(run[name] for run in runs) for name in BARS} for border, runs in found.items()}
    with capsys.disabled():
        for border, runs in found.items():
            print(f"\nborder weight {border:g}: mean {means[border]}, seeds {runs}")  # noqa: T201
    assert all(means[10.0][name] >= bar for name, bar in BARS.items())
