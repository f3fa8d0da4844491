"""Finished runs of any size, made without measuring anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.api import CellResult, FinishedRun, Results, Table
from harness.results import CurveResult, ErrorResult, GateResult, LatencyResult, MetricResult, PluginResult

MakeRun = Callable[..., FinishedRun]


def metric(value, **more):
    return MetricResult(value=value, ci=(value - 0.01, value + 0.01), n=100, **more)


def accuracy(index, name, rng, samples):
    common = {"id": str(index), "model": name, "precision": "fp32", "backend": "cpu"}
    key = f"accuracy/data/{name}/fp32/cpu"
    xs = np.linspace(0, 1, samples)
    return CellResult(key=key, kind="accuracy", status="ok", dataset="data", cached=index % 3 == 0, **common,
                      metrics={"top@1": metric(0.5 + 0.4 * rng.random(), convention="strict"),
                               "error": metric(rng.random(), higher_is_better=False, unit="px")},
                      curves={"roc": CurveResult(x=list(xs), y=list(xs**0.5), x_label="false", y_label="true")},
                      files={"thumbnails": f"thumbnails/{index}", "scores": f"scores/{index}.json"})


def latency(index, name, rng):
    return CellResult(key=f"latency/{name}/fp32/cpu/single-stream-b1-t1", id=f"l{index}", kind="latency", status="ok",
                      model=name, precision="fp32", backend="cpu", files={"samples": f"samples/{index}.npz"},
                      latency=LatencyResult(scenario="single-stream", batch=1, threads=1, n=100, ratio=1.0 + index,
                                            p50_ms=1 + 9 * rng.random(), valid=index % 4 != 3))


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """make_run(models=["a"], samples=50): an accuracy and a latency cell for each, with pictures and raw samples."""

    def make(models=("first", "second"), samples=50, pictures=4, dataset="data", folder="run") -> FinishedRun:
        home = tmp_path / folder
        rng = np.random.default_rng(0)
        cells = [accuracy(index, name, rng, samples).model_copy(update={"dataset": dataset})
                 for index, name in enumerate(models)]
        cells += [latency(index, name, rng) for index, name in enumerate(models)]
        for index, name in enumerate(models):
            Table({"nanoseconds": (1e6 * rng.gamma(9, 0.2, samples)).astype(np.int64)}).save(
                home / f"samples/{index}.npz")
            folder = home / f"thumbnails/{index}"
            folder.mkdir(parents=True)
            entries = []
            for number in range(pictures):
                noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
                Image.fromarray(noise).save(folder / f"{number:02d}.jpg", quality=85)
                entries.append({
                    "id": f"{name}-{number}" if number == 3 else f"sample-{number}", "file": f"{number:02d}.jpg",
                    "size": [60, 80], "target": {"label": name, "boxes": [[5, 5, 30, 40]]},
                    "prediction": {"logits": [{"class": 0, "label": name, "probability": 0.75}]},
                    "scores": {"top@1": rng.random(), "error": rng.random()}})
            (folder / "index.json").write_text(json.dumps(entries))
            (home / "scores").mkdir(exist_ok=True)
            (home / f"scores/{index}.json").write_text(json.dumps(
                [{"id": entry["id"], **entry["scores"]} for entry in entries]))
        cells += [
            CellResult(key=f"accuracy/{dataset}/{models[0]}/int8/cpu", id="f", kind="accuracy", status="failed",
                       dataset=dataset, model=models[0], precision="int8", backend="cpu",
                       error=ErrorResult(type="CellError", message=f"{models[0]} broke", where="net.py:3")),
            CellResult(key=f"latency/{models[0]}/fp32/cuda/single-stream-b1-t1", id="s", kind="latency",
                       status="skipped", model=models[0], precision="fp32", backend="cuda", reason="no GPU here"),
        ]
        gates = [GateResult(expression=f"accuracy/*/{models[0]}/* top@1 >= 0.9", passed=False, value=0.7,
                            cells=[cells[0].key])]
        results = Results(suite={"suite": {"name": models[0], "description": models[-1]}},
                          environment={"cpu": "A processor", "packages": {"numpy": "2"}},
                          plugins=[PluginResult(name=models[0], distribution="d", version="1")], cells=cells,
                          gates=gates)
        return FinishedRun(results, home)

    return make
