"""What must hold on an NVIDIA GPU; `harness run suites/gpu.toml` has the table of latencies.

Every shipped export and its saliency graphs give on CUDA what they give on the CPU, and the clock around a bound call
agrees with the device's own events.
"""

import statistics
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from harness.contracts import ModelFile
from harness.explanation import Method, open_subject
from harness.host import Host
from harness.onnx.models import load_card
from harness.onnx.providers import CUDA, provider_problem
from harness.onnx.session import open_session
from harness.specs import SaliencySpec
from harness.table import Table

pytestmark = pytest.mark.perf

EXPORTS = Path(__file__).parents[2] / "exports"
NAMES = sorted(path.parent.name for path in EXPORTS.glob("*/export.json"))
METHODS = ("grad-cam", "layer-cam", "backprop", "guided-backprop")
ROUNDS = 300


@pytest.fixture(scope="module")
def cuda():
    """Opens a file on the GPU, in float32 proper."""
    if (problem := provider_problem(CUDA)) is not None:
        pytest.skip(problem)

    def opened(path, **options):
        return open_session(path, provider=CUDA, provider_options={"use_tf32": 0, **options})

    return opened


def golden(name):
    """An export and its golden images; of one that chooses, its raw graph and the one image that this takes."""
    raw = EXPORTS / name / "model.raw.fp32.onnx"
    images = Table.load(EXPORTS / name / "golden.npz").dense("input.image")
    return (raw, images[:1]) if raw.is_file() else (EXPORTS / name / "model.fp32.onnx", images)


def largest_difference(found, expected):
    """Relative to the largest magnitude."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_exports_give_the_same_on_both_devices(name, cuda, record_property):
    path, images = golden(name)
    sessions = open_session(path), cuda(path)
    expected, found = (session.run({session.inputs[0].name: images}) for session in sessions)
    for output, values in expected.items():
        worst = largest_difference(found[output], values)
        record_property(f"{name}: {output}", worst)
        assert worst <= 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted({*NAMES} - {"regressionnet"}))  # it has no scores to explain
def test_maps_are_the_same_on_both_devices(name, method, cuda, tmp_path, record_property):
    path = EXPORTS / name / "model.fp32.onnx"
    card = load_card(ModelFile(path))
    with open_subject(path, card, lambda samples: None) as subject:
        spec = Host.discover().spec(SaliencySpec, method)
        generator = Method.of(spec, spec.params()).generator
        onnx.save(generator.build(subject.handle.graph, card), tmp_path / "explainer.onnx")
    images = golden(name)[1]
    session = open_session(tmp_path / "explainer.onnx")
    (image,) = {info.name for info in session.inputs} - {"class"}
    feeds = {image: images, "class": np.zeros(len(images), np.int64)}
    expected = session.run(feeds)["saliency"]
    worst = largest_difference(cuda(tmp_path / "explainer.onnx").run(feeds)["saliency"], expected)
    record_property(f"{name}: {method}", worst)
    assert worst <= 1e-3


@pytest.mark.parametrize("batch", [1, 64])
def test_the_clock_agrees_with_events_of_the_device(batch, cuda, record_property):
    """onnxruntime works on torch's stream here, so that torch's events lie directly around its kernels."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA, and with it no events")
    stream = torch.cuda.Stream()
    path, images = golden("heatmapnet")
    session = cuda(path, user_compute_stream=stream.cuda_stream)
    query = session.bind({session.inputs[0].name: np.repeat(images[:1], batch, 0)})
    clock, events = [], []
    with torch.cuda.stream(stream):
        for _ in range(ROUNDS):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start = time.perf_counter_ns()
            query()
            clock.append((time.perf_counter_ns() - start) / 1e3)
            first.record(stream)
            query()
            last.record(stream)
            last.synchronize()
            events.append(first.elapsed_time(last) * 1e3)
    added = statistics.median(clock) - statistics.median(events)
    record_property(f"batch {batch}: clock less events, us", added)
    assert added <= 3
