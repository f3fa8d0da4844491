"""Faithfulness metrics and the warping error: CPU time at one thread, alternated in one process."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from harness.api import ClassificationTarget, Fit, InputSpec, ModelCard, Samples, Table
from harness.evaluate import card_of
from harness.geometry import Size
from harness.onnx.runner import ModelRunner
from harness.onnx.session import open_session
from harness.testing.conformance import create
from harness_saliency_metrics.faithfulness import METRICS
from harness_saliency_metrics.imputation import impute
from harness_saliency_metrics.localization import METRICS as LOCALIZATION

pytestmark = pytest.mark.perf

CAM_CNN = Path(__file__).parents[2] / "exports" / "cam-cnn" / "model.fp32.onnx"
SIDE = 224


def cpu(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def saliency_maps() -> dict[str, np.ndarray]:
    """(224, 224) maps as generators make them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    blobs = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 20**2)) for cx, cy in rng.integers(30, 194, (5, 2)))
    sparse = np.abs(gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1)) * gaussian_filter(rng.random((SIDE, SIDE)), 15)
    maps = {"smooth": gaussian_filter(rng.random((SIDE, SIDE)), 20), "blobs": blobs, "gradient": sparse,
            "noise": rng.random((SIDE, SIDE))}
    return {name: values.astype(np.float32) for name, values in maps.items()}


# --- warping error


def test_the_warping_error_takes_10_ms_more(capsys: pytest.CaptureFixture[str]) -> None:
    """For box and mask together, beside a metric that has ranked the pixels already."""
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = ((x - 110) / 70) ** 2 + ((y - 120) / 50) ** 2 < 1
    target = ClassificationTarget(label="a", boxes=np.array([[40, 70, 181, 171]], np.float32), mask=mask)
    card = ModelCard(task="classification", input=InputSpec(size=(SIDE, SIDE)), labels=["a", "b"])
    fit = Fit(Size(SIDE, SIDE), Size(SIDE, SIDE), 1, 1, 0, 0)
    other, ours = (create(next(spec for spec in LOCALIZATION if spec.name == name))
                   for name in ("localization-error", "warping-error"))
    medians = {}
    for name, saliency in saliency_maps().items():
        samples = Samples(["a"], [target], Table({"logits": np.zeros((1, 2), np.float32)}), card, fits=[fit],
                          saliency=saliency[None], classes=np.zeros(1, np.int64))
        times = []
        for _ in range(15):
            fresh = replace(samples)
            other.measure(fresh)
            times.append(cpu(lambda fresh=fresh: ours.measure(fresh)))
        medians[name] = 1e3 * statistics.median(times[1:])
    with capsys.disabled():
        print("\nwarping-error, box and mask, ms a map: "  # noqa: T201
              + ", ".join(f"{name} {value:.1f}" for name, value in medians.items()))
    assert max(medians.values()) <= 10


# --- ROAD


def peer_imputer() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """pytorch-grad-cam's imputation without noise, without importing the rest of the package.

    The package itself needs torchvision and more; `pip install --no-deps grad-cam` is enough for this.
    """
    torch = pytest.importorskip("torch")
    pytest.importorskip("cv2")
    found = importlib.util.find_spec("pytorch_grad_cam")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("grad-cam is not installed: pip install --no-deps grad-cam")
    package = types.ModuleType("pytorch_grad_cam")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["pytorch_grad_cam"] = package
    try:
        imputer = importlib.import_module("pytorch_grad_cam.metrics.road").NoisyLinearImputer(noise=0)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "pytorch_grad_cam"]:
            del sys.modules[name]
    torch.set_num_threads(1)

    def peer(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
        kept = (~removed).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about numpy 2
            return np.asarray(imputer(torch.from_numpy(image), torch.from_numpy(kept)).numpy())

    return peer


@pytest.mark.parametrize("name", ["smooth", "blobs", "gradient", "noise"])
def test_road_imputes_5_times_faster_than_pytorch_grad_cam(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All that one map needs: 10 to 90 % of the most and of the least salient pixels of a color image."""
    peer, saliency = peer_imputer(), saliency_maps()[name]
    image = np.random.default_rng(1).normal(size=(3, SIDE, SIDE)).astype(np.float32)
    order = np.argsort(-saliency, axis=None, kind="stable")
    work = []
    for share in np.arange(1, 10) / 10:
        for ranked in (order, order[::-1]):
            removed = np.zeros((SIDE, SIDE), np.bool_)
            removed.reshape(-1)[ranked[:round(share * SIDE * SIDE)]] = True
            work.append(removed)
    ours, theirs = impute(image, work[0]), peer(image, work[0])  # warm
    ratios, times = [], []
    for _ in range(3):
        total = np.zeros(2)
        for removed in work:
            made: dict[str, np.ndarray] = {}
            total += (cpu(lambda: made.update(ours=impute(image, removed))),  # noqa: B023
                      cpu(lambda: made.update(theirs=peer(image, removed))))  # noqa: B023
            ours, theirs = made["ours"], made["theirs"]
            assert np.abs(ours - theirs).max() <= 1e-6
        ratios.append(total[1] / total[0])
        times.append(total[0])
    with capsys.disabled():
        print(f"\nROAD {name}: pytorch-grad-cam / ours {statistics.median(ratios):.1f} "  # noqa: T201
              f"({min(ratios):.1f} to {max(ratios):.1f}), ours {1e3 * statistics.median(times):.0f} ms for 18 images")
    assert statistics.median(ratios) >= 5


# --- insertion and deletion


def networks() -> list[object]:
    """The shipped network, and a real one where the shared data is."""
    import os

    shared = Path(os.environ.get("HARNESS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    mobilenet = shared / "models" / "mobilenet_v1_0.75_192.onnx"
    there = pytest.mark.skipif(not mobilenet.exists(), reason="no shared data: set HARNESS_SHARED_DATA")
    card = ModelCard(task="classification", input=InputSpec(size=(192, 192), range=(-1.0, 1.0)), labels=None)
    return [pytest.param(CAM_CNN, None, 4, id="cam-cnn"),
            pytest.param(mobilenet, card, 1, id="mobilenet", marks=there)]


@pytest.mark.parametrize(("path", "card", "count"), networks())
@pytest.mark.parametrize("name", ["insertion", "deletion"])
def test_curves_cost_little_more_than_their_forward_passes(path: Path, card: ModelCard | None, count: int, name: str,
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    card = card or card_of(path)
    session = open_session(path, threads=1)
    runner = ModelRunner(session, card, path)
    rng = np.random.default_rng(0)
    size = card.input.size
    inputs = rng.normal(size=(count, 3, *size)).astype(np.float32)
    seen: list[np.ndarray] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return runner.predict(batch)["logits"]

    samples = Samples([str(index) for index in range(count)], [ClassificationTarget(label="a")] * count,
                      Table({"logits": runner.predict(inputs)["logits"]}), card, inputs=inputs,
                      saliency=rng.random((count, *size)).astype(np.float32), classes=np.zeros(count, np.int64),
                      predict=predict)
    metric = create(next(spec for spec in METRICS if spec.name == name))
    ratios = []
    for _ in range(6):
        seen.clear()
        whole = cpu(lambda: metric.measure(replace(samples)))
        batches = list(seen)
        bare = cpu(lambda batches=batches: [runner.predict(batch) for batch in batches])
        ratios.append(whole / bare)
    session.close()
    assert sum(map(len, seen)) == count * (1 + size[0])
    with capsys.disabled():
        print(f"\n{name}, {path.parent.name}: {statistics.median(ratios[1:]):.3f} of the forward passes "  # noqa: T201
              f"({min(ratios[1:]):.3f} to {max(ratios[1:]):.3f}), {1e3 * bare / count:.0f} ms an image")
    assert statistics.median(ratios[1:]) <= 1.15
