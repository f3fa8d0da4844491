"""When queries are issued: LoadGen's scenarios over the loops of harness.measure, each in turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.api import Subject, Timing, closed_loop, cold_start, invalidity, open_loop, poisson_arrivals
from harness_runtime.scenario_params import ClosedParams, ColdStartParams, ServerParams


class _ClosedLoop:
    """A contracts.Scenario: the next query is issued when the last has ended."""

    def __init__(self, params: ClosedParams) -> None:
        self._params = params

    @property
    def rounds(self) -> int:
        return self._params.rounds

    def measure(self, subject: Subject, turn: int) -> Timing:
        p = self._params
        return closed_loop(subject.query, min_queries=math.ceil(p.min_queries / p.rounds),
                           min_duration_s=p.min_duration_s / p.rounds, max_duration_s=p.max_duration_s / p.rounds,
                           max_warmup_s=None if turn else p.max_warmup_s)

    def invalidity(self, turns: Sequence[Timing]) -> str | None:
        p = self._params
        return invalidity(turns, min_queries=p.min_queries, min_duration_s=p.min_duration_s, target=p.percentile)


class SingleStream(_ClosedLoop):
    """One sample, or one batch, at a time."""


class MultiStream(_ClosedLoop):
    """Samples of several streams arrive together: a query is a batch of them."""


class Offline(_ClosedLoop):
    """All samples are there at once: batches back to back. Latency is the time of a batch, throughput the result."""


class Server:
    """Poisson arrivals in an open loop, a latency bound on a percentile."""

    def __init__(self, params: ServerParams) -> None:
        self._params = params

    @property
    def rounds(self) -> int:
        return self._params.rounds

    def measure(self, subject: Subject, turn: int) -> Timing:
        p = self._params
        rate = p.target_qps / subject.batch
        count = math.ceil(max(p.min_queries, p.min_duration_s * rate) / p.rounds)
        return open_loop(subject.query, poisson_arrivals(count, rate, subject.seed + turn),
                         max_duration_s=p.max_duration_s / p.rounds, max_warmup_s=None if turn else p.max_warmup_s)

    def invalidity(self, turns: Sequence[Timing]) -> str | None:
        p = self._params
        # The schedule decides how long it lasts: a Poisson process may end a little early.
        return invalidity(turns, min_queries=p.min_queries, min_duration_s=0, target=p.percentile,
                          bound_ms=p.latency_bound_ms)


class ColdStart:
    """A new session and its first inference, again and again."""

    def __init__(self, params: ColdStartParams) -> None:
        self._params = params

    @property
    def rounds(self) -> int:
        return self._params.min_queries

    def measure(self, subject: Subject, turn: int) -> Timing:  # noqa: ARG002
        return cold_start(subject.opened)

    def invalidity(self, turns: Sequence[Timing]) -> str | None:
        return invalidity(turns, min_queries=self._params.min_queries, min_duration_s=0, target=0.5)
