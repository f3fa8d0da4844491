"""Cells measured beside those of a baseline: what a ratio says, and where there is none."""

import numpy as np
import pytest

from harness.compare.checks import differences, problem
from harness.compare.latency import MARGIN, STATISTICS, Again, SideBySide, rerun_row
from harness.compare.runs import Run
from harness.contracts import Timing
from harness.gates import OVER_ROUNDS, evaluate
from harness.host import Host
from harness.results import CellResult, LatencyResult, Results
from harness.suite import GateTable
from harness.timing import Outcome

LATENCY = LatencyResult(scenario="single-stream", batch=1, threads=1, n=200, p50_ms=1.0, cpu_ms=1.0)
SUITE = {
    "suite": {"name": "lab"},
    "datasets": {"photos": {"use": "image-folder", "root": "data"}},
    "models": {"net": {"use": "onnx", "path": "net.onnx", "task": "classification",
                       "input": {"size": [8, 8], "range": [0.0, 1.0]}, "labels": ["a", "b"]}},
    "metrics": {"top": {"use": "top-k"}, "top-one": {"use": "top-k", "k": [1]}},
    "bench": [{"models": ["net"], "datasets": ["photos"], "metrics": ["top", "top-one"]}],
}
KEY = "accuracy/photos/net/fp32/onnxruntime-cpu"


def outcome(milliseconds, cpu_ns=1000):
    turns = [Timing(np.full(10, value * 1e6), int(value * 1e7), cpu_ns, 0) for value in milliseconds]
    return Outcome(None, turns=turns, latency=LATENCY)


def beside(ratio=1.0, cpu_ns=1000, spread=0.02, rounds=30):
    rng = np.random.default_rng(0)
    old, new = 1 + rng.uniform(-spread, spread, (2, rounds))
    return SideBySide(outcome(old), outcome(ratio * new, cpu_ns))


def test_every_field_that_a_gate_may_ask_for_has_a_statistic():
    assert set(STATISTICS) == set(OVER_ROUNDS)


@pytest.mark.parametrize("name", OVER_ROUNDS)
def test_the_ratio_of_every_field(name):
    found = beside(1.2, cpu_ns=1200).shift(name)
    assert found.estimate == pytest.approx(1 / 1.2 if name == "throughput" else 1.2, rel=0.02)
    assert found.p < 1e-6


def test_a_clock_that_counts_nothing_is_no_pass():
    pair = beside(cpu_ns=0)
    assert pair.shift("cpu_ms") == "cpu_ms is not positive in every round, so there is no ratio"
    cell = CellResult(key="latency/m", id="0", kind="latency", status="ok", model="m", precision="fp32", backend="b",
                      latency=LATENCY)
    gate = GateTable(cell="*", metric="cpu_ms", max_regression="5%")
    result = evaluate(gate, [cell], {}, Again({"latency/m": pair}))
    assert not result.passed
    assert "latency/m: cpu_ms is not positive" in result.reason


def test_without_rounds_there_is_no_ratio():
    pair = SideBySide(outcome([]), outcome([1.0]))
    assert pair.problem == "run A's export: no rounds"
    row = rerun_row("latency/m", pair)
    assert (row.p, row.note) == (None, pair.problem)


def test_what_is_detectable_is_beyond_the_margin():
    exact = rerun_row("latency/m", beside(spread=1e-9))
    assert exact.minimum_detectable == pytest.approx(MARGIN, abs=1e-6)
    assert rerun_row("latency/m", beside(1 + 0.9 * MARGIN, spread=1e-9)).p == 1.0
    assert rerun_row("latency/m", beside(1 + 1.1 * MARGIN, spread=1e-9)).p < 1e-6
    noisy = rerun_row("latency/m", beside())
    error = (noisy.ci[1] - noisy.ci[0]) / 2 / 1.95996
    assert noisy.minimum_detectable == pytest.approx(MARGIN + 2.8016 * error, rel=1e-3)


def run_in(folder, **changes):
    cell = CellResult(key=KEY, id="0", kind="accuracy", status="ok", model="net", precision="fp32",
                      backend="onnxruntime-cpu")
    suite = {"path": str(folder / "suite.toml"), **SUITE, **changes}
    return Run(folder, Results(suite=suite, environment={}, plugins=[], cells=[cell]), Host.discover())


def test_a_baseline_of_another_checkout_has_the_same_parameters(tmp_path):
    ours, theirs = run_in(tmp_path / "one"), run_in(tmp_path / "two")
    assert list(differences(ours, theirs, [KEY], rerun=True)) == []
    other = run_in(tmp_path / "two", datasets={"photos": {"use": "image-folder", "root": "other"}})
    assert list(differences(ours, other, [KEY], rerun=True)) == [f'{KEY}: the dataset "photos" has other parameters']


def test_only_the_metric_that_is_asked_for_counts(tmp_path):
    ours = run_in(tmp_path)
    other = run_in(tmp_path, metrics={**SUITE["metrics"], "top-one": {"use": "top-k", "k": [1, 2]}})
    assert problem(ours, other, KEY, "top@1") is None
    assert problem(ours, other, KEY, "top-one@1") == (
        f'can not be compared with the baseline (A): {KEY}: the metric "top-one" has other parameters')


def test_a_suite_that_can_not_be_read_any_more_is_a_reason(tmp_path):
    gone = run_in(tmp_path, metrics={**SUITE["metrics"], "top": {"use": "top-secret"}})
    assert "top-secret" in problem(gone, run_in(tmp_path), KEY, "top@1")
