"""MLPerf's own load generator: its scenarios drive the same sessions, its log has the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import ScenarioSpec, hookimpl
from harness_loadgen.params import MultiStreamParams, OfflineParams, ServerParams, SingleStreamParams


@hookimpl
def harness_scenarios() -> Iterable[ScenarioSpec]:
    return [
        ScenarioSpec(name="loadgen-single-stream", summary="LoadGen's SingleStream.", params=SingleStreamParams,
                     factory="harness_loadgen.scenario:LoadGen"),
        ScenarioSpec(name="loadgen-multi-stream", summary="LoadGen's MultiStream; `batch` is its samples per query.",
                     params=MultiStreamParams, factory="harness_loadgen.scenario:LoadGen"),
        ScenarioSpec(name="loadgen-offline", summary="LoadGen's Offline: one query of all samples, in batches.",
                     params=OfflineParams, factory="harness_loadgen.scenario:LoadGen"),
        ScenarioSpec(name="loadgen-server", summary="LoadGen's Server: Poisson arrivals, a latency bound; batch 1.",
                     params=ServerParams, factory="harness_loadgen.scenario:LoadGen", model_only=False),
    ]
