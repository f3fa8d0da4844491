"""The machine's peak as a backend reaches it: the best time of one float32 matrix product."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from harness.errors import HandledError
from harness.opened import backend_of
from harness.plan import Cell

_FEW_CORES = 4
_REPETITIONS = 5


def peak_gflops(cell: Cell, threads: int) -> float | None:
    """10^9 operations per second of a product of large matrices on the cell's backend; None where it runs none."""
    size = _size(cell.backend.spec.device, threads)
    if cell.backend.spec.accepts != "onnx":
        return None
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "product.onnx"
        _write_product(path, size)
        try:
            with closing(backend_of(cell).open(path, threads=threads)) as session:
                rows = np.random.default_rng(0).random((size, size), np.float32)
                query = session.bind({"rows": rows, "columns": rows})
                fastest = min(_timed(query) for _ in range(_REPETITIONS))
        except HandledError:
            return None
    return 2 * size**3 / fastest


def _size(device: str, threads: int) -> int:
    """Rows and columns: large enough to run at full speed, over in milliseconds. 0.9 GFLOP, 17 GFLOP, 1.1 TFLOP."""
    if device != "cpu":
        return 8192
    return 768 if threads <= _FEW_CORES else 2048


def _timed(query: Callable[[], None]) -> int:
    start = perf_counter_ns()
    query()
    return perf_counter_ns() - start


def _write_product(path: Path, size: int) -> None:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size])
              for name in ("rows", "columns", "product")]
    graph = helper.make_graph([helper.make_node("MatMul", ["rows", "columns"], ["product"])], "product", values[:2],
                              values[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
