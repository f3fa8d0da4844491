"""LoadGen as a scenario: it issues the queries and judges them, the session answers."""

from __future__ import annotations

import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import CellError, MissingDependency, Subject, Timing, collector_off, warm_up
from harness_loadgen.log import Log, read_log
from harness_loadgen.params import LoadGenParams, MultiStreamParams, OfflineParams, ServerParams, SingleStreamParams

_LIBRARY_SAMPLES = 64
"""LoadGen asks for samples by index; the session always has the same inputs."""
Issue = Callable[[Sequence[Any]], None]


class LoadGen:
    """A contracts.Scenario in one round: LoadGen's rules are about one uninterrupted test."""

    rounds = 1

    def __init__(self, params: LoadGenParams) -> None:
        self._params = params

    def measure(self, subject: Subject, turn: int) -> Timing:  # noqa: ARG002
        """Raises MissingDependency without mlcommons-loadgen, CellError for a batch that a scenario does not have."""
        if isinstance(self._params, ServerParams) and subject.batch != 1:
            raise CellError("LoadGen's Server sends one sample at a time: set batch = 1")
        with collector_off():
            started = time.perf_counter_ns()
            warmup = warm_up(subject.query, self._params.max_warmup_s)
            fastest = (time.perf_counter_ns() - started) / warmup.queries
            cpu, start = time.process_time_ns(), time.perf_counter_ns()
            log = self.run(subject.query, subject.batch, fastest)
            elapsed, cpu = time.perf_counter_ns() - start, time.process_time_ns() - cpu
        note = None if warmup.steady else f"not steady after {self._params.max_warmup_s:g} s of warm-up"
        if isinstance(self._params, OfflineParams):
            return _offline(log, subject.batch, cpu, warmup.queries, note)
        return Timing(log.latencies, min(elapsed, log.issued_ns + int(log.latencies[-1])), cpu, warmup.queries, note,
                      invalid=log.reason)

    def invalidity(self, turns: Sequence[Timing]) -> str | None:
        return next((turn.invalid for turn in turns if turn.invalid), None)

    def run(self, query: Callable[[], None], batch: int, expected_ns: float) -> Log:
        """One test. expected_ns: about how long a query takes, for LoadGen to make enough of them beforehand."""
        loadgen = _loadgen()
        answer = _Answer(query, batch, loadgen, pause_s=self._params.min_duration_s / self._params.min_queries)
        with tempfile.TemporaryDirectory(prefix="loadgen-") as folder, _issuer(self._params, answer) as issue:
            system = loadgen.ConstructSUT(issue, _nothing)
            library = loadgen.ConstructQSL(_LIBRARY_SAMPLES, _LIBRARY_SAMPLES, _ignore, _ignore)
            try:
                loadgen.StartTestWithLogSettings(system, library, self._settings(loadgen, batch, expected_ns),
                                                 _log_settings(loadgen, folder), "")
            finally:
                loadgen.DestroyQSL(library)
                loadgen.DestroySUT(system)
            if answer.error is not None:
                raise answer.error
            return read_log(Path(folder))

    def _settings(self, loadgen: Any, batch: int, expected_ns: float) -> Any:
        p, settings = self._params, loadgen.TestSettings()
        settings.scenario = getattr(loadgen.TestScenario, p.scenario_name)
        settings.mode = loadgen.TestMode.PerformanceOnly
        settings.min_query_count = p.min_queries
        settings.min_duration_ms = round(p.min_duration_s * 1e3)
        settings.max_duration_ms = round((p.max_duration_s or 0) * 1e3)
        settings.schedule_rng_seed = p.seed
        soon = max(1, int(expected_ns / 2))  # too many queries beforehand cost memory, too few end it early
        if isinstance(p, SingleStreamParams):
            settings.single_stream_target_latency_percentile = p.percentile
            settings.single_stream_expected_latency_ns = soon
        elif isinstance(p, MultiStreamParams):
            settings.multi_stream_target_latency_percentile = p.percentile
            settings.multi_stream_expected_latency_ns = soon
            settings.multi_stream_samples_per_query = batch
        elif isinstance(p, OfflineParams):
            settings.offline_expected_qps = p.expected_qps or 2e9 * batch / expected_ns
        elif isinstance(p, ServerParams):
            settings.server_target_qps = p.target_qps
            settings.server_target_latency_ns = round(p.latency_bound_ms * 1e6)
            settings.server_target_latency_percentile = p.percentile
        return settings


def _offline(log: Log, batch: int, cpu: int, warmup: int, note: str | None) -> Timing:
    """LoadGen measures the one query of all samples: its batches have no times of their own."""
    total, samples = int(log.latencies[-1]), round(log.facts["result_samples_per_second"] * log.latencies[-1] / 1e9)
    notes = [note, "Offline is one query of all samples: a throughput, no latencies of its batches"]
    return Timing(np.empty(0, np.int64), total, cpu, warmup, "; ".join(filter(None, notes)), invalid=log.reason,
                  served=max(1, -(-samples // batch)))


class _Answer:
    """What LoadGen calls for samples; `error`: the first exception of a query, after which nothing is run any more.

    LoadGen ends when all that it has issued is completed, and an exception may not pass through its code. So the test
    goes on without the session: pause_s keeps it from filling its log with answers that took no time.
    """

    def __init__(self, query: Callable[[], None], batch: int, loadgen: Any, pause_s: float) -> None:
        self._query, self._batch, self._loadgen, self._pause_s = query, batch, loadgen, pause_s
        self.error: Exception | None = None

    def __call__(self, samples: Sequence[Any]) -> None:
        """Single stream sends one sample at a time: its query is a batch nevertheless."""
        for start in range(0, len(samples), self._batch):
            if self.error is None:
                self._run()
            self._loadgen.QuerySamplesComplete([self._loadgen.QuerySampleResponse(sample.id, 0, 0)
                                                for sample in samples[start : start + self._batch]])

    def one_by_one(self, samples: Sequence[Any]) -> None:
        """Where the next samples come when these are completed."""
        if self.error is not None:
            time.sleep(self._pause_s)
        self(samples)

    def _run(self) -> None:
        try:
            self._query()
        except Exception as error:  # noqa: BLE001  raised again when the test has ended
            self.error = error


@contextmanager
def _issuer(params: LoadGenParams, answer: _Answer) -> Iterator[Issue]:
    """How LoadGen hands over samples: in its own thread, but for arrivals, which must not wait for the last answer."""
    if not isinstance(params, ServerParams):
        yield answer.one_by_one
        return
    waiting: queue.SimpleQueue[Sequence[Any] | None] = queue.SimpleQueue()
    thread = threading.Thread(target=_serve, args=(waiting, answer), name="loadgen-server", daemon=True)
    thread.start()
    try:
        yield waiting.put
    finally:
        waiting.put(None)
        thread.join()


def _serve(waiting: queue.SimpleQueue[Sequence[Any] | None], answer: Issue) -> None:
    while (samples := waiting.get()) is not None:
        answer(samples)


def _log_settings(loadgen: Any, folder: str) -> Any:
    output = loadgen.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = folder, False
    settings = loadgen.LogSettings()
    settings.log_output, settings.enable_trace = output, True
    return settings


def _loadgen() -> Any:
    try:
        import mlperf_loadgen
    except ImportError as error:
        raise MissingDependency("mlcommons-loadgen", "loadgen", "LoadGen's scenarios") from error
    return mlperf_loadgen


def _nothing() -> None:
    """LoadGen has no more queries for now."""


def _ignore(samples: Sequence[int]) -> None:
    """The session has its inputs."""
