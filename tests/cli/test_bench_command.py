"""`harness bench`: any ONNX file, no suite."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

QUICK = ("--set", "min_queries=30", "--set", "min_duration_s=0.0", "--set", "max_warmup_s=0.1", "--set", "rounds=5")


def graph(path, nodes, inputs, constants=()):
    values = [helper.make_tensor_value_info(*each) for each in inputs]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "g", values, [out], list(constants)),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def network(tmp_path):
    """(N, 8, 16, 16) -> two convolutions."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(size=(8, 8, 3, 3)).astype(np.float32), name) for name in "ab"]
    nodes = [helper.make_node("Conv", ["image", "a"], ["c"]), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("Conv", ["r", "b"], ["out"])]
    return graph(tmp_path / "net.onnx", nodes, [("image", TensorProto.FLOAT, ["batch", 8, 16, 16])], weights)


@pytest.fixture
def two_inputs(tmp_path):
    """Rows of a table by index, plus a vector of free length."""
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"]), helper.make_node("ReduceSum", ["rows"], ["sum"]),
             helper.make_node("Add", ["x", "sum"], ["out"])]
    table = numpy_helper.from_array(np.ones((4, 3), np.float32), "table")
    inputs = [("x", TensorProto.FLOAT, ["n", "width"]), ("ids", TensorProto.INT64, ["n", 5])]
    return graph(tmp_path / "two.onnx", nodes, inputs, [table])


def cells(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["cells"]


def test_a_table_with_what_it_ran_on(cli, network):
    done = cli("bench", network, "--batch", "1,8", *QUICK)
    assert done.code == 0, done.err
    assert {"b1", "b8"} <= {part for word in done.out.split() for part in word.split("/")}
    assert "net/fp32/onnxruntime-cpu: CPUExecutionProvider, 2 layers in float32" in done.out


def test_precisions_and_other_files_in_the_same_rounds(cli, network, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(network.read_bytes())
    done = cli("bench", network, "--compare", other, "--precision", "fp32,int8", "--format", "json", *QUICK)
    found = cells(done)
    assert [(cell["model"], cell["precision"]) for cell in found] == [
        ("net", "fp32"), ("net", "int8"), ("other", "fp32"), ("other", "int8")]
    assert found[1]["executed"] == {"int8": 2}
    assert len({cell["latency"]["session"] for cell in found}) == 1
    assert found[0]["latency"]["ratio"] == 1
    assert all(len(cell["latency"]["rounds"]) == 5 for cell in found)
    assert "calibrated on noise" in done.err


def test_a_file_that_is_int8_already_is_called_so(cli, network, tmp_path):
    from harness.onnx.precision.int8 import Quantizer
    from harness.onnx.precision.prepare import prepared
    from harness.onnx.precision.settings import Int8Settings

    feeds = [{"image": np.random.default_rng(0).random((1, 8, 16, 16), np.float32)}]
    path = tmp_path / "quantized.onnx"
    onnx.save(Quantizer(prepared(network), iter(feeds), Int8Settings()).quantized(), str(path))
    assert [cell["precision"] for cell in cells(cli("bench", path, "--format", "json", *QUICK))] == ["int8"]
    done = cli("bench", path, "--precision", "fp16", *QUICK)
    assert done.code == 2
    assert "is int8; fp16 can not be made from it" in done.err


def test_several_inputs_and_free_lengths(cli, two_inputs, tmp_path):
    done = cli("bench", two_inputs, *QUICK)
    assert done.code == 2
    assert "the shape of 'x' (n, width) is not known; give --shape x=N,LENGTH" in done.err
    found = cells(cli("bench", two_inputs, "--shape", "x=N,3", "--batch", "1,4", "--format", "json", *QUICK))
    assert [cell["latency"]["batch"] for cell in found] == [1, 4]
    np.save(tmp_path / "ids.npy", np.zeros((2, 5), np.int64))
    done = cli("bench", two_inputs, "--shape", "x=2,3", "--input", f"ids={tmp_path / 'ids.npy'}", "--format", "json",
               *QUICK)
    assert cells(done)[0]["latency"]["batch"] == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["--shape", "y=N,3"], "no input named 'y' (it has ids, x)"),
    (["--shape", "x=N,0"], "must be NAME=LENGTHS"),
    (["--shape", "x=N,3,3"], "input 'x' takes (n, width), (1, 3, 3) was given"),
    (["--batch", "one"], "must be positive numbers"),
    (["--backend", "onnxruntime-cup"], 'did you mean "onnxruntime-cpu"'),
    (["--backend", "onnxruntime-cpu:optimization=most"], "--backend onnxruntime-cpu: optimization"),
    (["--scenario", "single"], "single-stream"),
    (["--set", "queries=3"], "--set: queries"),
    (["--precision", "fp8"], "is fp32; fp8 can not be made from it"),
    (["--input", "x=absent.npy"], "absent.npy: can not be read"),
    (["--format", "tabel"], 'did you mean "table"'),
])
def test_mistakes(cli, two_inputs, arguments, message):
    done = cli("bench", two_inputs, *arguments, *QUICK)
    assert done.code == 2
    assert message in done.text


def test_a_fixed_batch_is_not_timed_as_another(cli, tmp_path):
    path = graph(tmp_path / "fixed.onnx", [helper.make_node("Relu", ["x"], ["out"])],
                 [("x", TensorProto.FLOAT, [2, 3])])
    assert cells(cli("bench", path, "--format", "json", *QUICK))[0]["latency"]["batch"] == 2
    done = cli("bench", path, "--batch", "8", *QUICK)
    assert done.code == 2
    assert "the graph is fixed at batch 2 and can not be timed at batch 8" in done.err


def test_files_that_are_no_models(cli, tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    assert "can not be read as ONNX" in cli("bench", tmp_path / "text.onnx").err
    assert cli("bench", tmp_path / "absent.onnx").code == 2
    assert "no such model file" in cli("bench", tmp_path).err


def test_a_backend_that_can_not_run_here_is_skipped_with_the_reason(cli, network):
    done = cli("bench", network, "--backend", "onnxruntime-tensorrt", *QUICK)
    assert done.code == 3  # nothing was measured
    assert "needs an NVIDIA GPU" in done.text or "TensorrtExecutionProvider" in done.text
