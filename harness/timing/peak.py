"""The machine's peak as a backend reaches it: the best time of one float32 matrix product."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from harness.errors import HandledError
from harness.opened import backend_of
from harness.plan import Cell

_SIZE = 768
"""Rows and columns: 0.9 GFLOP, large enough for any CPU kernel to run at full speed, and over in milliseconds."""
_REPETITIONS = 5


def peak_gflops(cell: Cell, threads: int) -> float | None:
    """10^9 operations per second of a (768, 768) product on the cell's backend; None where it can not run one."""
    if cell.backend.spec.accepts != "onnx":
        return None
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "product.onnx"
        _write_product(path)
        try:
            session = backend_of(cell).open(path, threads=threads)
        except HandledError:
            return None
        try:
            rows = np.random.default_rng(0).random((_SIZE, _SIZE), np.float32)
            query = session.bind({"rows": rows, "columns": rows})
            fastest = min(_timed(query) for _ in range(_REPETITIONS))
        finally:
            session.close()
    return 2 * _SIZE**3 / fastest


def _timed(query: Callable[[], None]) -> int:
    start = perf_counter_ns()
    query()
    return perf_counter_ns() - start


def _write_product(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [_SIZE, _SIZE])
              for name in ("rows", "columns", "product")]
    graph = helper.make_graph([helper.make_node("MatMul", ["rows", "columns"], ["product"])], "product", values[:2],
                              values[2:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
