"""Every shipped export on onnxruntime against its network in torch: fp32, one thread, alternated in one process.

The torch network has fresh weights: time does not depend on them.
"""

import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness import evaluate  # noqa: E402
from harness.exports import load_export  # noqa: E402
from harness.host import Host  # noqa: E402
from harness.onnx.session import open_session  # noqa: E402
from harness.specs import ModelSpec  # noqa: E402
from harness.train import channels_last, create_model  # noqa: E402

EXPORTS = sorted(path.parent for path in (Path(__file__).parents[2] / "exports").glob("*/export.json"))
ROUNDS, ROUND_S = 9, 0.2


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_query(folder, image, *, compiled):
    """A call of the predictor on channels-last input in inference mode; compiled: by inductor with frozen weights."""
    record = load_export(folder)
    spec = Host.discover().spec(ModelSpec, record.model)
    model = create_model(spec, spec.params.model_validate(record.params))
    predictor = channels_last(model.predictor(model.build())).eval()
    tensor = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)

    def query():
        with torch.inference_mode():
            predictor(tensor)

    return compiled_query(predictor, tensor) if compiled else query


def compiled_query(predictor, tensor):
    import torch._inductor.config as inductor

    torch._dynamo.reset()
    with inductor.patch(freezing=True), torch.no_grad():
        function = torch.compile(predictor)
        function(tensor)

    def query():
        with torch.no_grad():
            function(tensor)

    return query


def median_ns(query):
    """Over calls of a quarter of a second."""
    times, end = [], time.perf_counter_ns() + int(ROUND_S * 1e9)
    while not times or time.perf_counter_ns() < end:
        start = time.perf_counter_ns()
        query()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


@pytest.mark.perf
@pytest.mark.parametrize("compiled", [False, True], ids=["inference-mode", "compiled"])
@pytest.mark.parametrize("folder", EXPORTS, ids=lambda folder: folder.name)
def test_onnxruntime_against_torch(benchmark, one_thread, folder, compiled):
    raw = folder / "model.raw.fp32.onnx"  # torch runs the network without the suppression that its graph ends with
    path = raw if raw.exists() else folder / "model.fp32.onnx"
    card = evaluate.card_of(path)
    image = np.random.default_rng(0).random((1, card.input.channels, *card.input.size), np.float32)
    session = open_session(path)
    ours = session.bind({session.inputs[0].name: image})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        try:
            theirs = torch_query(folder, image, compiled=compiled)
        except Exception as error:
            if not compiled:
                raise
            pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")
        median_ns(ours), median_ns(theirs)  # warm
        pairs = []
        for index in range(ROUNDS):
            order = (ours, theirs) if index % 2 else (theirs, ours)
            times = {query: median_ns(query) for query in order}
            pairs.append((times[ours], times[theirs]))
    ratio = statistics.median(b / a for a, b in pairs)
    benchmark.extra_info["onnxruntime_ms"] = round(statistics.median(a for a, _ in pairs) / 1e6, 4)
    benchmark.extra_info["torch_ms"] = round(statistics.median(b for _, b in pairs) / 1e6, 4)
    benchmark.extra_info["torch_over_onnxruntime"] = round(ratio, 3)
    benchmark.pedantic(ours, rounds=3)
