"""pytest-benchmark's JSON: `pytest-benchmark compare` and dashboards that read it show latency cells."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness.api import CellResult, FinishedRun, LatencyResult, Params


class PytestBenchmarkReporter:
    """One benchmark for each latency cell; its rounds are the medians of the harness's rounds, in seconds.

    Full names are those that `pytest suite.toml` gives, so that either can be compared with the other.
    """

    def __init__(self, params: Params) -> None:
        pass

    def render(self, run: FinishedRun) -> Mapping[str, str | bytes]:
        results = run.results
        environment = results.environment
        suite = results.suite.get("suite", {}).get("name", "harness")
        document = {
            "machine_info": {"node": "", "machine": environment.get("machine"), "system": environment.get("platform"),
                             "python_version": environment.get("python"), "python_implementation": "CPython",
                             "cpu": {"brand_raw": environment.get("cpu"), "count": environment.get("logical_cores")}},
            "commit_info": {"id": environment.get("commit"), "dirty": str(environment.get("commit")).endswith("+")},
            "benchmarks": [_benchmark(f"{suite}::{cell.key}", cell, cell.latency) for cell in results.cells
                           if cell.latency is not None and cell.latency.rounds],
            "datetime": environment.get("finished"), "version": "5.0.0",
        }
        return {"pytest-benchmark.json": json.dumps(document, indent=1) + "\n"}


def _benchmark(fullname: str, cell: CellResult, latency: LatencyResult) -> dict[str, Any]:
    return {
        "group": f"{latency.scenario}-b{latency.batch}-t{latency.threads}", "name": cell.key, "fullname": fullname,
        "params": None, "param": None,
        "extra_info": {"key": cell.key, "model": cell.model, "precision": cell.precision, "backend": cell.backend,
                       "runs_on": cell.runs_on, "scenario": latency.scenario, "batch": latency.batch,
                       "threads": latency.threads, "model_sha256": cell.model_sha256, "n": latency.n,
                       "p50_ms": latency.p50_ms, "p90_ms": latency.p90_ms, "p99_ms": latency.p99_ms,
                       "valid": latency.valid, "noisy": latency.noisy},
        "options": {"disable_gc": True, "timer": "perf_counter", "min_rounds": len(latency.rounds), "max_time": None,
                    "min_time": None, "warmup": True},
        "stats": _stats([each / 1e3 for each in latency.rounds]),
    }


def _stats(seconds: Sequence[float]) -> dict[str, Any]:
    """As pytest-benchmark computes them; hinges are those of Tukey's box plot."""
    n, mean, median = len(seconds), statistics.fmean(seconds), statistics.median(seconds)
    q1, q3 = _hinges(sorted(seconds))
    iqr = q3 - q1
    deviation = statistics.stdev(seconds) if n > 1 else 0.0
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    mild = sum(abs(each - mean) > deviation for each in seconds)
    severe = sum(not low <= each <= high for each in seconds)
    return {"min": min(seconds), "max": max(seconds), "mean": mean, "stddev": deviation, "rounds": n, "median": median,
            "iqr": iqr, "q1": q1, "q3": q3, "iqr_outliers": severe, "stddev_outliers": mild,
            "outliers": f"{mild};{severe}", "ld15iqr": min(each for each in seconds if each >= low),
            "hd15iqr": max(each for each in seconds if each <= high), "ops": 1 / mean if mean else 0.0,
            "total": sum(seconds), "iterations": 1, "data": list(seconds)}


def _hinges(values: Sequence[float]) -> tuple[float, float]:
    half = (len(values) + 1) // 2
    return statistics.median(values[:half]), statistics.median(values[-half:])
