"""Latencies relative to one another."""

from __future__ import annotations

from harness.results import LatencyResult
from harness.signedrank import ratio_shift


def with_ratio(latency: LatencyResult, base: LatencyResult) -> LatencyResult:
    """The latency with `ratio` and `ratio_ci` relative to `base`.

    Measured in the same rounds: the typical ratio of a round's medians. Otherwise p50 / p50 without interval: what
    happened to the machine in between, nobody knows.
    """
    if paired(latency, base):
        found = ratio_shift(latency.rounds, base.rounds)
        return latency.model_copy(update={"ratio": found.estimate, "ratio_ci": found.interval})
    if latency.p50_ms is None or base.p50_ms is None:
        return latency
    return latency.model_copy(update={"ratio": latency.p50_ms / base.p50_ms})


def paired(one: LatencyResult, other: LatencyResult) -> bool:
    """Whether each round of one has its counterpart."""
    return one.session is not None and one.session == other.session and 0 < len(one.rounds) == len(other.rounds)
