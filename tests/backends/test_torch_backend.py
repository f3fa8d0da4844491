"""torch as a backend: the same network, the same outputs, its own settings given back."""

from __future__ import annotations

import gc
import shutil
import weakref
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")

from harness.errors import ModelFileError  # noqa: E402
from harness.flat import by_sample, difference  # noqa: E402
from harness.onnx.session import open_session  # noqa: E402
from harness.table import Table  # noqa: E402
from harness.tasks import TASKS  # noqa: E402
from harness_torch.backend import CompileBackend, EagerBackend  # noqa: E402
from harness_torch.params import CompileParams, EagerParams  # noqa: E402

EXPORTS = Path(__file__).parents[2] / "exports"
MODELS = {"heatmapnet": "keypoints", "cam-cnn": "classification", "multiscale-detector": "detection",
          "unet-cells": "segmentation", "regressionnet": "keypoints"}


@pytest.mark.parametrize("name", MODELS)
def test_eager_equals_the_export(name):
    image = Table.load(EXPORTS / name / "golden.npz").dense("input.image")
    ours = open_session(EXPORTS / name / "model.fp32.onnx")
    theirs = EagerBackend(EagerParams()).open(EXPORTS / name, threads=1)
    feeds = {ours.inputs[0].name: image}
    expected, found = (by_sample(TASKS[MODELS[name]], session.run(feeds), len(image)) for session in (ours, theirs))
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert difference(found[key], values) <= 2e-4, key
    theirs.close()


def test_threads_are_those_asked_for_and_given_back():
    before = torch.get_num_threads()
    session = EagerBackend(EagerParams()).open(EXPORTS / "cam-cnn", threads=before + 1)
    assert torch.get_num_threads() == before + 1
    session.close()
    assert torch.get_num_threads() == before


def test_sessions_with_other_threads_stay_with_theirs():
    before = torch.get_num_threads()
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")[:1]
    one, two = (EagerBackend(EagerParams()).open(EXPORTS / "cam-cnn", threads=threads) for threads in (1, before + 1))
    queries = [session.bind({"image": image}) for session in (one, two)]
    for query, threads in zip(queries * 2, [1, before + 1] * 2, strict=True):
        query()
        assert torch.get_num_threads() == threads
    one.run({"image": image})
    assert torch.get_num_threads() == 1
    two.close()
    one.close()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("params", "message"), [
    ({"fp16": True}, 'fp16 needs device = "cuda"'),
    ({"tf32": True}, 'tf32 needs device = "cuda"'),
    ({"fp16": True, "bf16": True, "device": "cuda"}, "a product has one type")])
def test_types_that_do_not_exist_are_refused(params, message):
    for kind in (EagerParams, CompileParams):
        with pytest.raises(ValidationError, match=message):
            kind(**params)


def test_fp16_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")
    exact, rounded = (EagerBackend(EagerParams(device="cuda", fp16=fp16)).open(EXPORTS / "cam-cnn", threads=1)
                      for fp16 in (False, True))
    assert rounded.executed() == {"float16": exact.executed()["float32"]}
    gap = np.abs(exact.run({"image": image})["logits"] - rounded.run({"image": image})["logits"]).max()
    assert 1e-5 < gap < 0.1


def test_a_gpu_takes_larger_batches():
    from harness.host import Host
    from harness.specs import BackendSpec
    from harness.suite import BackendEntry

    spec = Host.discover().spec(BackendSpec, "torch-eager")
    assert [BackendEntry("torch", spec, EagerParams(device=device)).device for device in ("cpu", "cuda")] == [
        "cpu", "cuda"]


def test_bf16_differs_and_says_so():
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")
    exact, rounded = (EagerBackend(EagerParams(bf16=bf16)).open(EXPORTS / "cam-cnn", threads=1)
                      for bf16 in (False, True))
    assert set(exact.executed()) == {"float32"}
    assert rounded.executed() == {"bfloat16": exact.executed()["float32"]}
    gap = np.abs(exact.run({"image": image})["logits"] - rounded.run({"image": image})["logits"]).max()
    assert 1e-4 < gap < 0.5


def test_an_export_without_weights(tmp_path):
    folder = shutil.copytree(EXPORTS / "cam-cnn", tmp_path / "cam-cnn")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"weights\.safetensors"):
        EagerBackend(EagerParams()).open(folder, threads=1)
    with pytest.raises(ModelFileError, match="not an export"):
        EagerBackend(EagerParams()).open(tmp_path, threads=1)


def test_cuda_without_a_gpu_is_unavailable():
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert "no CUDA device" in EagerBackend(EagerParams(device="cuda")).unavailable()


@pytest.fixture
def compilations(monkeypatch):
    """torch.compile with a compiler that only notes what it is asked for: [(freezing, batch)]."""
    from torch._inductor import config

    made = []

    def compiler(graph, inputs):
        made.append((config.freezing, next(each.shape[0] for each in inputs if each.ndim == 4 and each.shape[3] > 16)))
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compiler))
    yield made
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")  # of torch about itself
def test_compiled_sessions_stay_compiled_beside_others(compilations):
    """Of one network, with other batches and threads: each compiles when its inputs are bound, and never again."""
    image = np.repeat(Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")[:1], 2, axis=0)
    sessions, queries = [], []
    for threads in (1, 2):
        sessions.append(CompileBackend(CompileParams()).open(EXPORTS / "cam-cnn", threads=threads))
        queries += [sessions[-1].bind({"image": image[:batch]}) for batch in (1, 2)]
    assert compilations == [(True, 1), (True, 2)] * 2
    for query in queries * 2:
        query()
    expected = EagerBackend(EagerParams()).open(EXPORTS / "cam-cnn", threads=1).run({"image": image})["logits"]
    for session in sessions:
        np.testing.assert_allclose(session.run({"image": image})["logits"], expected, atol=1e-4)
    assert len(compilations) == 4
    weights = [weakref.ref(next(session._network.predictor.parameters())) for session in sessions]
    sessions.pop().close()
    queries[0]()  # is still compiled
    assert len(compilations) == 4
    sessions.pop().close()
    del query, queries, session
    gc.collect()
    assert [weight() for weight in weights] == [None, None]  # sessions come and go by the dozen


@pytest.mark.filterwarnings("ignore")  # of torch about itself
def test_more_shapes_than_torch_compiles_by_itself(compilations):
    """After some of them, by default 8, torch would go on in eager mode, and not say so."""
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")[:1]
    session = CompileBackend(CompileParams(freezing=False)).open(EXPORTS / "cam-cnn", threads=1)
    with torch._dynamo.config.patch(recompile_limit=1, accumulated_recompile_limit=1):
        for batch in (1, 2, 3):
            session.bind({"image": np.repeat(image, batch, axis=0)})()
    assert compilations == [(False, 1), (False, 2), (False, 3)]
    session.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch about itself
def test_compiled_equals_the_export():
    image = Table.load(EXPORTS / "cam-cnn" / "golden.npz").dense("input.image")
    session = CompileBackend(CompileParams()).open(EXPORTS / "cam-cnn", threads=1)
    expected = open_session(EXPORTS / "cam-cnn" / "model.fp32.onnx").run({"image": image})["logits"]
    np.testing.assert_allclose(session.run({"image": image})["logits"], expected, atol=1e-4)
    session.bind({"image": image[:1]})()
    session.close()
