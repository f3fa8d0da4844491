"""What LoadGen wrote: mlperf_log_detail.txt with its verdict, mlperf_log_trace.json with every sample."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api import CellError

_MARK = ":::MLLOG "
_REASONS = {"result_min_duration_met": "minimum duration", "result_min_queries_met": "minimum queries",
            "result_perf_constraints_met": "latency bound", "early_stopping_met": "early stopping"}
_SAMPLE = re.compile(r'"name":"Sample".*?"ph":"b".*?"ts":(?P<ts>[\d.]+).*?"query_seq":(?P<query>\d+)'
                     r'.*?"complete_ns":(?P<ns>\d+)')


@dataclass(frozen=True, slots=True)
class Log:
    """One test. facts: the detailed log by key; latencies: (n,) int64 nanoseconds of each query, in order of issue.

    A latency counts from when the query was scheduled; of a query of several samples it is the last one's.
    issued_ns: from the first query's issue to the last one's.
    """

    facts: Mapping[str, Any]
    latencies: NDArray[np.int64]
    issued_ns: int

    @property
    def valid(self) -> bool:
        return bool(self.facts["result_validity"] == "VALID")

    @property
    def reason(self) -> str | None:
        """Why LoadGen calls the test INVALID, None when it is VALID."""
        if self.valid:
            return None
        unmet = [name for key, name in _REASONS.items() if self.facts.get(key) is False]
        told = " ".join(str(self.facts.get("result_invalid_reason") or self.facts.get("early_stopping_result")).split())
        return f"LoadGen: INVALID, not met: {', '.join(unmet)}: {told}"


def read_log(folder: Path) -> Log:
    """Raises CellError when the test has left no log, or errors in it."""
    try:
        lines = (folder / "mlperf_log_detail.txt").read_text(encoding="utf-8").splitlines()
        trace = (folder / "mlperf_log_trace.json").read_text(encoding="utf-8")
    except OSError as error:
        raise CellError(f"LoadGen left no log in {folder}: {error.strerror}") from None
    entries = [json.loads(line.partition(_MARK)[2]) for line in lines if _MARK in line]
    facts = {entry["key"]: entry["value"] for entry in entries}
    if "result_validity" not in facts:
        errors = [str(entry["value"]) for entry in entries if entry["metadata"]["is_error"]]
        raise CellError(f"LoadGen ended without a result: {'; '.join(errors) or 'its log does not say why'}")
    samples = [(int(each["query"]), int(each["ns"]), float(each["ts"])) for each in _SAMPLE.finditer(trace)]
    found: dict[int, int] = {}
    for query, latency, _ in samples:
        found[query] = max(latency, found.get(query, 0))
    starts = [start for _, _, start in samples] or [0.0]
    return Log(facts, np.array([found[query] for query in sorted(found)], np.int64),
               round((max(starts) - min(starts)) * 1e3))
