"""Latency cells take turns: each backend in a process of its own, and what happens to one harms no other."""

import os
import time
from pathlib import Path

import psutil
import pytest

from harness.contracts import ModelFile
from harness.host import Host
from harness.opened import open_model
from harness.plan import make_plan
from harness.reading import read_suite
from harness.timing import measure_cells, rounds, station
from harness.timing.station import Opening

BACKENDS = """
[backends.dying]
use = "lab-dying"
[backends.absent]
use = "lab-absent"
log = "$LOG"
[[bench]]
models = ["mean"]
backends = [{backends}]
latency = [{{ {latency} }}]
"""
TURNS = 'scenario = "lab-turns", log = "turns.log", batch = [1, 2]'
CLOSED = "min_queries = 70, min_duration_s = 0.0, max_warmup_s = 0.1"


def bench(lab, *backends, latency=TURNS):
    return lab.suite + BACKENDS.format(backends=", ".join(f'"{name}"' for name in backends), latency=latency)


def turns(lab):
    """(process, batch, turn) in the order in which they were taken."""
    return [tuple(map(int, line.split())) for line in (lab.folder / "turns.log").read_text().splitlines()]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_every_backend_has_a_process_and_every_round_all_cells(lab, executor):
    outcome = lab.run(bench(lab, "logged", "onnxruntime-cpu"), executor=executor)
    assert [cell.status for cell in outcome.results.cells] == ["ok"] * 4
    taken = turns(lab)
    processes = {process for process, _, _ in taken}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert [turn for _, _, turn in taken] == [0] * 4 + [1] * 4 + [2] * 4
    for round_ in range(3):
        assert {(process, batch) for process, batch, turn in taken if turn == round_} == \
            {(process, batch) for process in processes for batch in (1, 2)}
    assert not any(psutil.pid_exists(process) for process in processes)
    assert len({cell.latency.session for cell in outcome.results.cells}) == 1


def test_one_backend_needs_no_other_process(lab):
    lab.run(bench(lab, "onnxruntime-cpu"))
    assert {process for process, _, _ in turns(lab)} == {os.getpid()}


def test_cells_with_fewer_rounds_are_spread_over_the_others(lab):
    text = bench(lab, "onnxruntime-cpu").replace(
        "latency = [", 'latency = [{ scenario = "lab-turns", log = "turns.log", rounds = 6, batch = 4 }, ')
    lab.run(text)
    taken = [(batch, turn) for _, batch, turn in turns(lab)]
    assert [turn for batch, turn in taken if batch == 4] == [0, 1, 2, 3, 4, 5]
    for half in range(3):  # every second round of the six has all three
        start = taken.index((4, 2 * half))
        assert {batch for batch, _ in taken[start : start + 4]} == {1, 2, 4}


@pytest.mark.parametrize("fails", [0, 2])
def test_a_cell_that_fails_leaves_the_round_to_the_others(lab, fails):
    outcome = lab.run(bench(lab, "onnxruntime-cpu", latency=TURNS + f", fails = {fails}"))
    one, two = outcome.results.cells
    assert (one.status, two.status) == ("ok", "failed")
    assert (two.error.type, two.error.message) == ("ArithmeticError", "out of turn")
    assert "plugin lab" in two.error.where
    assert [turn for _, batch, turn in turns(lab) if batch == 1] == [0, 1, 2]
    assert max(turn for _, batch, turn in turns(lab) if batch == 2) == fails


def test_a_process_that_dies_costs_its_own_cells_only(lab):
    outcome = lab.run(bench(lab, "dying", "onnxruntime-cpu", latency=CLOSED))
    died, fine = outcome.results.cells
    assert (died.status, fine.status) == ("failed", "ok")
    assert died.error.type == "ProcessExpired"
    assert died.error.message == "the process of this backend died: exit code 9"
    assert fine.latency.n >= 70
    assert outcome.exit_code == 3


def test_a_backend_that_is_absent_is_skipped(lab):
    outcome = lab.run(bench(lab, "absent", "onnxruntime-cpu", latency=CLOSED))
    absent, fine = outcome.results.cells
    assert (absent.status, absent.reason) == ("skipped", "it needs a machine from the future")
    assert fine.status == "ok"


def test_peak_memory_of_each_backend(lab):
    outcome = lab.run(bench(lab, "logged", "onnxruntime-cpu"))
    peaks = {cell.backend: cell.cost.peak_rss_mb for cell in outcome.results.cells}
    assert all(peak is None or 20 < peak < 4000 for peak in peaks.values())
    assert set(peaks) == {"logged", "onnxruntime-cpu"}


SCENARIOS = {
    "single-stream": "min_queries = 70, min_duration_s = 0.0",
    "multi-stream": "min_queries = 700, min_duration_s = 0.0, batch = 8",
    "offline": "min_queries = 64, min_duration_s = 0.0, batch = 8",
    "server": "target_qps = 4000, latency_bound_ms = 500.0, min_queries = 700, min_duration_s = 0.0",
    "cold-start": "min_queries = 12",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(lab, name):
    outcome = lab.run(bench(lab, "onnxruntime-cpu", latency=f'scenario = "{name}", {SCENARIOS[name]}'))
    (cell,) = outcome.results.cells
    assert cell.status == "ok", cell.error
    latency = cell.latency
    assert latency.valid, latency.why
    assert cell.key.split("/")[-1] == f"{name}-b{latency.batch}-t1"
    assert latency.p50_ms <= latency.p50_early_stopping_ms
    assert latency.throughput_ci[0] <= latency.throughput <= latency.throughput_ci[1]
    if name == "cold-start":
        assert set(latency.parts) == {"open", "first"}
        assert latency.n == len(latency.rounds) == 12
    if name == "server":
        assert latency.n == 700


@pytest.mark.parametrize(("options", "reason"), [
    ('scenario = "server", target_qps = 4000, latency_bound_ms = 1e-6, min_duration_s = 0.0', "the bound is 1e-06 ms"),
    ('min_queries = 20, min_duration_s = 0.0', "p90 needs 64 queries by early stopping, there are 30"),
    ('min_queries = 9000000, max_duration_s = 0.1, min_duration_s = 0.0', "of at least 9000000 queries"),
])
def test_what_is_not_valid_says_why(lab, options, reason):
    (cell,) = lab.run(bench(lab, "onnxruntime-cpu", latency=options)).results.cells
    assert (cell.status, cell.latency.valid) == ("ok", False)
    assert reason in cell.latency.why


@pytest.fixture
def openings(monkeypatch):
    """Models that were opened in this process; openings.fails: which one, counted from 0, can not be opened."""
    class Openings(list):
        fails = None

    found = Openings()

    def opened(cell, *arguments):
        found.append(cell.model.id)
        if len(found) - 1 == found.fails:
            raise ArithmeticError("not again")
        return open_model(cell, *arguments)

    monkeypatch.setattr(station, "open_model", opened)
    return found


@pytest.mark.parametrize(("affordable", "sessions"), [(1e9, 5), (0.0, 1)])
def test_sessions_are_replaced_as_long_as_that_is_cheap(lab, openings, monkeypatch, affordable, sessions):
    monkeypatch.setattr(rounds, "REOPENING", affordable)
    outcome = lab.run(bench(lab, "onnxruntime-cpu", latency=CLOSED + ", rounds = 8, batch = [1, 2]"))
    assert [cell.latency.sessions for cell in outcome.results.cells] == [sessions] * 2
    assert len(openings) == sessions  # both batches share one
    assert [len(cell.latency.rounds) for cell in outcome.results.cells] == [8] * 2


def test_a_backend_that_opens_slowly_costs_the_others_no_sessions():
    """Of two stations with equal turns, one opens in a millisecond and one in a second."""
    class Fake:
        def reopen(self, cells):
            return [Opening("lab", 8, ModelFile(Path("x.onnx")))] * len(cells)

    outcomes = [rounds.Outcome(None, Opening("lab", 8, ModelFile(Path("x.onnx"))), seconds=seconds)
                for seconds in (1e-3, 1.0)]
    reopenings = [rounds._Reopening(Fake(), [outcome], 4) for outcome in outcomes]
    for round_ in range(8):
        for outcome, reopening in zip(outcomes, reopenings, strict=True):
            if reopening.due(round_, 8):
                reopening()
            outcome.seconds += 0.1
    assert [outcome.sessions for outcome in outcomes] == [4, 1]


def test_a_session_that_can_not_be_replaced_fails_its_cell(lab, openings, monkeypatch):
    monkeypatch.setattr(rounds, "REOPENING", 1e9)
    openings.fails = 3
    text = bench(lab, "onnxruntime-cpu", latency=CLOSED + ", rounds = 8") + lab.other
    outcome = lab.run(text.replace('models = ["mean"]', 'models = ["mean", "other"]'))
    cells = {cell.model: cell for cell in outcome.results.cells}
    assert (cells["mean"].status, cells["other"].status) == ("ok", "failed")
    assert cells["other"].error.message == "not again"
    assert cells["mean"].latency.sessions == 5


def test_a_time_limit_ends_it_after_a_whole_round(lab):
    text = bench(lab, "onnxruntime-cpu", latency=TURNS + ", rounds = 100000")
    cells = make_plan(read_suite(lab.write(text), Host.discover())).cells
    started = time.perf_counter()
    one, two = measure_cells(cells, lambda key, done, total: None, seconds=0.2)
    assert time.perf_counter() - started < 30
    assert 10 <= len(one.turns) == len(two.turns) < 100000
    assert one.latency.why.startswith(f"{len(one.turns)} turns")
