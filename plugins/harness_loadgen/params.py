"""Parameters of LoadGen's scenarios, with its own defaults."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from harness.api import Params


class LoadGenParams(Params):
    """What all scenarios have."""

    scenario_name: ClassVar[str]

    min_queries: int = Field(100, gt=0)
    """min_query_count; of Offline, samples."""
    min_duration_s: float = Field(10.0, ge=0)
    """min_duration."""
    max_duration_s: float | None = Field(None, gt=0)
    """max_duration; no limit by default."""
    seed: int = Field(0, ge=0)
    """Of the schedule of arrivals."""
    max_warmup_s: float = Field(5.0, gt=0)
    """LoadGen has no warm-up: queries before the test, until latencies are steady, or this long."""


class SingleStreamParams(LoadGenParams):
    """One sample, or one batch, at a time."""

    scenario_name = "SingleStream"

    percentile: float = Field(0.9, gt=0, lt=1)
    """single_stream_target_latency_percentile."""


class MultiStreamParams(LoadGenParams):
    """A query is `batch` samples."""

    scenario_name = "MultiStream"

    percentile: float = Field(0.99, gt=0, lt=1)
    """multi_stream_target_latency_percentile."""


class OfflineParams(LoadGenParams):
    """Throughput."""

    scenario_name = "Offline"

    expected_qps: float | None = Field(None, gt=0)
    """offline_expected_qps: LoadGen makes as many samples as would last for the minimum duration; by default twice what
    the fastest warm-up would allow."""


class ServerParams(LoadGenParams):
    """Poisson arrivals."""

    scenario_name = "Server"

    target_qps: float = Field(gt=0)
    """server_target_qps."""
    latency_bound_ms: float = Field(gt=0)
    """server_target_latency."""
    percentile: float = Field(0.99, gt=0, lt=1)
    """server_target_latency_percentile."""
