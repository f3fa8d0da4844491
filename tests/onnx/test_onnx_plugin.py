"""The `onnx` model plugin and the onnxruntime backends, as the host uses them."""

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from harness.api import ModelFileError, ModelRequest, Subject, unpack_mask
from harness.onnx import providers
from harness.onnx.models import load_card
from harness.onnx.runner import ModelRunner
from harness.opened import OpenedModel
from harness_onnx import harness_models
from harness_onnx.model import locate
from harness_onnx.params import OnnxParams
from harness_runtime import harness_backends, harness_executors, harness_scenarios
from harness_runtime.backends import CpuBackend, CudaBackend
from harness_runtime.params import CpuParams, CudaParams, TensorrtParams
from harness_runtime.scenario_params import SingleStreamParams
from harness_runtime.scenarios import SingleStream


def request(precision="fp32", export=None):
    return ModelRequest("mine", precision, export, ())


def test_located_file_runs(make_model, save):
    path = save(make_model(), "tiny.fp32.onnx")
    params = OnnxParams.model_validate({
        "path": path.with_name("tiny.{precision}.onnx"), "task": "classification",
        "input": {"size": [8, 6], "range": [-1.0, 1.0]}, "classes": {"cat": 3}}, context={"base": path.parent})
    file = locate(params, request())
    json.dumps(file.card)
    assert file.path == path
    card = load_card(file)
    assert (card.task, card.input.range, card.classes) == ("classification", (-1.0, 1.0), {"cat": 3})
    session = CpuBackend(CpuParams()).open(file.path, threads=1)
    assert ModelRunner(session, card, file.path).predict(np.zeros((2, 3, 8, 6), np.float32))["logits"].shape == (2, 4)


def test_labels_path_is_relative_to_the_suite(tmp_path):
    params = OnnxParams.model_validate({"path": "m.onnx", "labels": "labels.txt"}, context={"base": tmp_path})
    assert params.path == tmp_path / "m.onnx"
    assert locate(params, request()).card == {"labels": str(tmp_path / "labels.txt")}


def test_a_foreign_graph_of_free_size_takes_images_in_tiles(tmp_path):
    """Two logits per pixel, blue and a constant: blue wins where it exceeds 0.5."""
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[1, 2] = 1
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights", "bias"], ["logits"])], "blue",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2, "H", "W"])],
        [numpy_helper.from_array(weights, "weights"),
         numpy_helper.from_array(np.array([0.5, 0], np.float32), "bias")])
    path = tmp_path / "blue.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    file = locate(OnnxParams.model_validate({
        "path": path, "task": "segmentation", "input": {"size": [16, 16], "range": [0, 1], "fit": "tile"},
        "tile": {"size": [16, 16], "radius": 0}}), request())
    card = load_card(file)
    model = OpenedModel("blue", path, card, ModelRunner(CpuBackend(CpuParams()).open(path, threads=1), card, path))
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)
    found = unpack_mask(model.segment([image], ["a"]), 0)
    np.testing.assert_array_equal(found, image[:, :, 2] > 127)


def test_task_is_checked_where_the_suite_stands():
    with pytest.raises(ValidationError, match=r'unknown task .* did you mean "keypoints"\?; one of classification'):
        OnnxParams.model_validate({"path": "m.onnx", "task": "keypoint"})


def test_one_file_is_fp32_only(tmp_path):
    params = OnnxParams(path=tmp_path / "m.onnx")
    assert locate(params, request()).path == tmp_path / "m.onnx"
    assert locate(params, request(export=Path("other.onnx"))).path == Path("other.onnx")
    with pytest.raises(ModelFileError, match=r"models\.mine: no int8 file: .* write \{precision\} in it"):
        locate(params, request("int8"))


def test_cuda_is_unavailable_with_the_reason():
    if providers.nvidia_devices():
        pytest.skip("this machine has an NVIDIA GPU")
    reason = CudaBackend(CudaParams()).unavailable()
    assert reason is not None
    assert "CUDAExecutionProvider" in reason


def test_cpu_is_available_and_says_its_version():
    import onnxruntime

    assert CpuBackend(CpuParams()).unavailable() is None
    assert CpuBackend(CpuParams()).versions() == {"onnxruntime": onnxruntime.__version__}


def test_provider_options_are_strings_onnxruntime_knows():
    assert CudaParams(cuda_graph=True).provider_options() == {
        "device_id": 0, "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC", "enable_cuda_graph": 1}
    assert CudaParams(gpu_mem_limit_mb=2).provider_options()["gpu_mem_limit"] == 2097152
    assert TensorrtParams(fp16=True).provider_options()["trt_fp16_enable"] == 1


def test_single_stream_through_the_plugin():
    calls = []
    scenario = SingleStream(SingleStreamParams(min_queries=15, min_duration_s=0, max_warmup_s=0.05, rounds=1))
    timing = scenario.measure(Subject(lambda: calls.append(None), nullcontext), 0)
    assert len(calls) == timing.warmup_queries + len(timing.nanoseconds)
    assert len(timing.nanoseconds) >= 15
    with pytest.raises(ValidationError, match="min_duration_s 2 exceeds max_duration_s 1"):
        SingleStreamParams(min_duration_s=2, max_duration_s=1)


def test_declarations_import_nothing_heavy():
    names = [spec.name for hook in (harness_models, harness_backends, harness_scenarios, harness_executors)
             for spec in hook()]
    assert names == ["onnx", "onnxruntime-cpu", "onnxruntime-cuda", "onnxruntime-tensorrt", "single-stream",
                     "multi-stream", "offline", "server", "cold-start", "local", "inline"]
    code = ("import sys, harness_onnx, harness_runtime\n"
            "heavy = {'numpy', 'onnx', 'onnxruntime', 'torch', 'scipy', 'PIL'} & set(sys.modules)\n"
            "sys.exit(', '.join(heavy) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
