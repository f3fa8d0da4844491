"""What the tables at the end of a run say."""

import pytest

from harness.results import CellResult, Cost, LatencyResult
from harness.terminal import print_latencies


def latency_cell(key, **fields):
    _, model, precision, backend, _ = key.split("/")
    return CellResult(**{"key": key, "id": key, "kind": "latency", "model": model, "precision": precision,
                         "backend": backend, "status": "ok", "cost": Cost(), **fields})


def measured(batch):
    return LatencyResult(scenario="single-stream", batch=batch, threads=1, n=700, p50_ms=1.5, p90_ms=1.6, p99_ms=1.7,
                         cpu_ms=1.4, throughput=666.0)


@pytest.mark.parametrize(("keys", "names"), [
    (["single-stream-b1-t1", "single-stream-b64-t1"], ["m/b1", "m/b64"]),
    (["single-stream-b1-t1", "single-stream-b1-t2"], ["m/t1", "m/t2"]),
    (["server-b1-t1", "single-stream-b1-t1"], ["m/server", "m/single-stream"]),
])
def test_names_say_what_differs(keys, names, capsys):
    print_latencies([latency_cell(f"latency/m/fp32/cpu/{key}", latency=measured(1)) for key in keys])
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.strip().startswith("m/") and "1.5" in line]
    assert [row[0] for row in rows] == names
    assert all(word in printed for word in ("CPU ms", "1.4", "666"))


def test_a_reason_of_many_cells_is_said_once(capsys):
    cells = [latency_cell(f"latency/m/fp32/cuda/single-stream-b{batch}-t1", status="skipped", reason="no GPU")
             for batch in (1, 2, 4)]
    print_latencies([*cells, latency_cell("latency/m/fp32/rocm/single-stream-b1-t1", status="skipped", reason="no")])
    lines = capsys.readouterr().out.splitlines()
    assert "latency/m/fp32/cuda/single-stream-b1-t1 and 2 more cells: no GPU" in lines
    assert "latency/m/fp32/rocm/single-stream-b1-t1 no" in lines
