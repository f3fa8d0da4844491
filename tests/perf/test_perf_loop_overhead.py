"""What the harness adds to a query: its own loop against a bare onnxruntime IOBinding loop, alternated."""

import statistics
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from harness.measure import closed_loop
from harness.onnx.session import open_session

ROUNDS = 15
QUERIES = 200


def write_network(path, width):
    """Three convolutions at 32x32 over `width` channels."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for index, channels in enumerate((3, width, width)):
        kernel = rng.normal(size=(width, channels, 3, 3)).astype(np.float32) / (3 * channels**0.5)
        weights.append(numpy_helper.from_array(kernel, f"w{index}"))
        nodes += [helper.make_node("Conv", [f"r{index}" if index else "image", f"w{index}"], [f"c{index}"],
                                   pads=[1, 1, 1, 1]),
                  helper.make_node("Relu", [f"c{index}"], [f"r{index + 1}"])]
    nodes.append(helper.make_node("GlobalAveragePool", ["r3"], ["logits"]))
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", width, 1, 1])], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))


def bare_loop(path):
    """As an onnxruntime user would write it: () -> nanoseconds of each query."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("image", np.ones((1, 3, 32, 32), np.float32))
    binding.bind_output("logits")

    def run():
        times = []
        for _ in range(QUERIES):
            start = time.perf_counter_ns()
            session.run_with_iobinding(binding)
            times.append(time.perf_counter_ns() - start)
        return times

    return run


def harness_loop(path):
    query = open_session(path).bind({"image": np.ones((1, 3, 32, 32), np.float32)})

    def run():
        timing = closed_loop(query, min_queries=QUERIES, min_duration_s=0, max_duration_s=60, max_warmup_s=0.001)
        return timing.nanoseconds.tolist()

    return run


@pytest.mark.perf
@pytest.mark.parametrize("width", [4, 32])
def test_loop_overhead(benchmark, tmp_path, width):
    write_network(tmp_path / "small.onnx", width)
    bare, harness = bare_loop(tmp_path / "small.onnx"), harness_loop(tmp_path / "small.onnx")
    bare(), harness()  # warm
    pairs = []
    for index in range(ROUNDS):
        first, second = (bare, harness) if index % 2 else (harness, bare)
        times = {first: statistics.median(first()), second: statistics.median(second())}
        pairs.append((times[bare], times[harness]))
    benchmark.extra_info["bare_p50_us"] = round(statistics.median(a for a, _ in pairs) / 1e3, 3)
    benchmark.extra_info["harness_p50_us"] = round(statistics.median(b for _, b in pairs) / 1e3, 3)
    benchmark.extra_info["difference_us"] = round(statistics.median(b - a for a, b in pairs) / 1e3, 3)
    benchmark.extra_info["ratio"] = round(statistics.median(b / a for a, b in pairs), 4)
    benchmark.pedantic(harness, rounds=3)
    assert len(harness()) == QUERIES
