"""Sessions: right numbers, checked feeds, clear errors, never another provider than asked."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from harness.errors import BackendUnavailable, CellError, ModelFileError
from harness.onnx import providers, session
from harness.onnx.session import open_session


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 6)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 5])
def test_run_equals_onnx_reference(make_model, save, count):
    model = make_model()
    got = open_session(save(model)).run({"image": images(count)})
    (wanted,) = ReferenceEvaluator(model).run(None, {"image": images(count)})
    assert list(got) == ["logits"]
    np.testing.assert_allclose(got["logits"], wanted, rtol=1e-5, atol=1e-6)


def test_outputs_belong_to_the_caller(make_model, save):
    opened = open_session(save(make_model()))
    first = opened.run({"image": images(2)})["logits"]
    kept = first.copy()
    opened.run({"image": images(2, seed=1)})
    np.testing.assert_array_equal(first, kept)


def test_interface_and_provider(make_model, save):
    opened = open_session(save(make_model()))
    assert opened.runs_on == "CPUExecutionProvider"
    assert [(i.name, i.dtype, i.shape) for i in opened.inputs] == [("image", "float32", ("batch", 3, 8, 6))]
    assert [(o.name, o.dtype, o.shape) for o in opened.outputs] == [("logits", "float32", ("batch", 4))]


def test_options_are_explicit(make_model, save):
    options = open_session(save(make_model()), threads=2)._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.graph_optimization_level.name == "ORT_ENABLE_ALL"
    assert not options.enable_profiling


def test_bound_call_computes_the_same_and_reuses_its_buffers(make_model, save):
    opened = open_session(save(make_model()))
    query = opened.bind({"image": images(3)})
    binding = query.args[0]
    before = [value.data_ptr() for value in binding.get_outputs()]
    for value in binding.get_outputs():
        value.update_inplace(np.zeros((3, 4), np.float32))
    query()
    assert [value.data_ptr() for value in binding.get_outputs()] == before
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], opened.run({"image": images(3)})["logits"])


def test_output_whose_shape_depends_on_the_data(save):
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["image"], ["where"])], "sparse",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("where", onnx.TensorProto.INT64, [1, "n"])])  # a wrong declaration
    path = save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    opened = open_session(path)
    for values in ([0, 1, 0, 2], [1, 1, 1, 1], [0, 0, 0, 0]):
        array = np.array(values, np.float32)
        np.testing.assert_array_equal(opened.run({"image": array})["where"], np.nonzero(array))
        opened.bind({"image": array})()


@pytest.mark.parametrize(("feeds", "message"), [
    ({"imagee": images(1)}, r"no input named 'imagee'; did you mean \"image\"\?"),
    ({}, r"nothing given for input 'image'"),
    ({"image": images(1).astype(np.float64)}, r"takes float32, got float64"),
    ({"image": images(1)[:, :, :7]}, r"takes \(batch, 3, 8, 6\), got \(1, 3, 7, 6\)"),
    ({"image": images(1)[0]}, r"takes \(batch, 3, 8, 6\), got \(3, 8, 6\)"),
])
def test_unfit_feeds_are_refused_with_the_interface(make_model, save, feeds, message):
    opened = open_session(save(make_model()))
    for call in (opened.run, opened.bind):
        with pytest.raises(ModelFileError, match=message) as caught:
            call(feeds)
        assert "inputs: image float32 (batch, 3, 8, 6); outputs: logits float32 (batch, 4)" in str(caught.value)


def broken(model, how):
    if how == "operator":
        model.graph.node[1].op_type = "Fold"
    elif how == "custom":
        model.graph.node[1].domain = "com.acme"
        model.opset_import.append(helper.make_opsetid("com.acme", 1))
    elif how == "opset":
        model.opset_import[0].version = 99
    elif how == "ir":
        model.ir_version = 99
    return model


@pytest.mark.parametrize(("how", "message"), [
    ("operator", "operator Fold is not in opset 18"),
    ("custom", "operator com.acme:Conv is unknown to onnxruntime"),
    ("opset", "opset 99 is newer than the installed onnxruntime supports"),
    ("ir", "IR version 99 is newer than the installed onnxruntime reads"),
])
def test_unsupported_models_name_the_culprit(make_model, save, capfd, how, message):
    path = save(broken(make_model(), how))
    with pytest.raises(ModelFileError, match=message) as caught:
        open_session(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("content", "message"), [
    (lambda whole: whole[: len(whole) // 2], r"not an ONNX file, or truncated \(\d+ bytes\)"),
    (lambda whole: whole[:-3], r"not an ONNX file, or truncated \(\d+ bytes\)"),
    (lambda whole: b"no network at all" * 10, r"not an ONNX file, or truncated \(170 bytes\)"),
    (lambda whole: b"", r"not an ONNX file, or truncated \(0 bytes\)"),
])
def test_damaged_files_give_one_line(make_model, save, capfd, content, message):
    path = save(make_model())
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(ModelFileError, match=message) as caught:
        open_session(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))
    assert capfd.readouterr() == ("", "")


def test_missing_file_and_missing_external_data(make_model, tmp_path):
    with pytest.raises(ModelFileError, match="no such model file"):
        open_session(tmp_path / "none.onnx")
    path = tmp_path / "external.onnx"
    onnx.save(make_model(), str(path), save_as_external_data=True, size_threshold=100, location="external.bin")
    open_session(path)
    (tmp_path / "external.bin").unlink()
    with pytest.raises(ModelFileError, match=r"external data external\.bin is missing"):
        open_session(path)


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider"])
def test_no_gpu_means_unavailable_in_silence(make_model, save, capfd, provider):
    if providers.nvidia_devices():
        pytest.skip("this machine has an NVIDIA GPU")
    problem = providers.provider_problem(provider)
    assert problem is not None
    assert provider in problem
    with pytest.raises(BackendUnavailable, match=provider):
        open_session(save(make_model()), provider=provider)
    assert capfd.readouterr() == ("", "")


def test_libraries_missing_beside_a_gpu_names_them_and_the_fix(monkeypatch):
    if providers.nvidia_devices() or providers.CUDA not in providers.onnxruntime().get_available_providers():
        pytest.skip("needs onnxruntime-gpu on a machine without an NVIDIA GPU")
    monkeypatch.setattr(providers, "nvidia_devices", lambda: 1)
    problem = providers.provider_problem(providers.CUDA)
    assert problem is not None
    assert "can not be loaded" in problem
    assert "pip install 'vision-harness[cuda]'" in problem


def test_a_fresh_process_prints_nothing(make_model, save):
    code = ("import sys; from pathlib import Path\n"
            "from harness.onnx.providers import provider_problem\n"
            "from harness.onnx.session import open_session\n"
            "open_session(Path(sys.argv[1]))\n"
            "provider_problem('CUDAExecutionProvider')")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, save(make_model())], capture_output=True,
                          text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_unknown_provider_is_unavailable(make_model, save):
    with pytest.raises(BackendUnavailable, match="built without NoSuchExecutionProvider"):
        open_session(save(make_model()), provider="NoSuchExecutionProvider")


def test_fallback_is_an_error_naming_both_providers(make_model, save, monkeypatch):
    """Whatever onnxruntime does in silence: a session whose first provider is another one is never returned."""
    path = save(make_model())

    class Fallen:
        def get_providers(self):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(session, "provider_problem", lambda provider: None)
    with pytest.raises(CellError, match=r"asked for CUDAExecutionProvider, .* on CPUExecutionProvider"):
        session._assert_provider(path, Fallen(), "CUDAExecutionProvider")
