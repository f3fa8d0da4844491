"""Backends, scenarios and reporters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contracts import Backend, FinishedRun, Reporter, Scenario, Subject, TellsPrecision, TellsSettings
from harness.specs import BackendSpec, ReporterSpec, ScenarioSpec
from harness.testing.conformance.expect import expect


def check_backend(spec: BackendSpec, backend: Backend, path: Path, feeds: Mapping[str, NDArray[Any]]) -> None:
    """Says why it is unavailable, or opens the file, names its outputs, and answers the same twice."""
    reason = backend.unavailable()
    if reason is not None:
        expect(reason.strip(), f"{spec.name}: unavailable without a reason")
        return
    expect(backend.versions(), f"{spec.name}: no version that decides its numbers")
    session = backend.open(path, threads=1)
    try:
        expect(session.runs_on, f"{spec.name}: does not say what it runs on")
        expect(set(feeds) == {info.name for info in session.inputs}, f"{spec.name}: inputs {session.inputs}")
        one, two = session.run(feeds), session.run(feeds)
        expect(set(one) == {info.name for info in session.outputs}, f"{spec.name}: outputs {sorted(one)}")
        expect(all(np.array_equal(one[name], two[name], equal_nan=True) for name in one), f"{spec.name}: two answers")
        expect(all(not np.shares_memory(one[name], two[name]) for name in one), f"{spec.name}: an output is reused")
        query = session.bind(feeds)
        query()
        query()
        if isinstance(session, TellsPrecision):
            expect(all(count > 0 for count in session.executed().values()), f"{spec.name}: {session.executed()}")
        if isinstance(session, TellsSettings):
            json.dumps(dict(session.settings))
    finally:
        session.close()


def check_scenario(spec: ScenarioSpec, scenario: Scenario) -> None:
    """Issues queries in turns, and every time it reports lies within the time that has passed."""
    issued = 0

    def query() -> None:
        nonlocal issued
        issued += 1

    @contextmanager
    def opened() -> Iterator[Callable[[], None]]:
        yield query

    expect(scenario.rounds > 0, f"{spec.name}: {scenario.rounds} rounds")
    turns = []
    for turn in range(min(2, scenario.rounds)):
        before, started = issued, time.perf_counter_ns()
        timing = scenario.measure(Subject(query, opened), turn)
        passed = time.perf_counter_ns() - started
        times = timing.nanoseconds
        expect(times.ndim == 1 and times.dtype == np.int64 and timing.served > 0,
               f"{spec.name}: {timing.served} served, {times.dtype} {times.shape}")
        expect(timing.served + timing.warmup_queries == issued - before,
               f"{spec.name}: {issued - before} queries, {timing.served} served, {timing.warmup_queries} for warm-up")
        expect((times >= 0).all() and 0 < timing.elapsed_ns <= passed, f"{spec.name}: times that can not be")
        turns.append(timing)
    reason = scenario.invalidity(turns)
    expect(reason is None or reason.strip(), f"{spec.name}: invalid without a reason")


def check_reporter(spec: ReporterSpec, reporter: Reporter, run: FinishedRun) -> None:
    """Renders the same files twice, each inside the run's folder."""
    files = dict(reporter.render(run))
    expect(files, f"{spec.name}: no file")
    for name, content in files.items():
        path = PurePosixPath(name)
        expect(not path.is_absolute() and ".." not in path.parts, f"{spec.name}: {name} leaves the run's folder")
        expect(isinstance(content, (str, bytes)), f"{spec.name}: {name} is a {type(content).__name__}")
    expect(dict(reporter.render(run)) == files, f"{spec.name}: a second rendering differs")
