"""JUnit and pytest-benchmark files, read by others; the summary of a step on GitHub."""

import csv
import io
import json
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from pytest_benchmark.stats import Stats

from harness.contracts import FinishedRun, RunContext
from harness.params import Params
from harness.results import CellResult, Cost, ErrorResult, GateResult, LatencyResult, MetricResult, Results
from harness_reports import harness_run_finished
from harness_reports.benchmark import PytestBenchmarkReporter
from harness_reports.csv import CsvReporter
from harness_reports.junit import JunitReporter

ROUNDS = [2.0, 2.5, 2.25, 9.0, 2.1, 2.2]


def results():
    common = {"id": "0", "model": "m", "precision": "fp32", "backend": "b"}
    latency = LatencyResult(scenario="single-stream", batch=1, threads=2, n=60, p50_ms=2.2, rounds=ROUNDS)
    cells = [
        CellResult(key="accuracy/d/m<script>/fp32/b", kind="accuracy", status="ok", cost=Cost(seconds=1.25),
                   metrics={"pck@0.05": MetricResult(value=0.75, n=9), "pck.wrist": MetricResult(value=1, n=9,
                                                                                                detail=True),
                            "none": MetricResult(value=None, n=0)}, **common),
        CellResult(key="latency/m/fp32/b/single-stream-b1-t2", kind="latency", status="ok", latency=latency, **common),
        CellResult(key="accuracy/d/torn/fp32/b", kind="accuracy", status="failed",
                   error=ErrorResult(type="CellError", message='bad \x00\x1b "bytes" & more', where="x.py:1"),
                   **common),
        CellResult(key="latency/m/fp32/cuda/single-stream-b1-t2", kind="latency", status="skipped", reason="no GPU",
                   **common)]
    gates = [GateResult(expression="a >= 1", passed=True, value=1.0),
             GateResult(expression="b <= 1", passed=False, value=2.0, reason="too slow")]
    return Results(suite={"suite": {"name": "lab"}}, environment={"commit": "abc+", "cpu": "Z80", "machine": "x"},
                   plugins=[], cells=cells, gates=gates)


def test_junit():
    (text,) = JunitReporter(Params()).render(FinishedRun(results())).values()
    cells, gates = ET.fromstring(text)
    assert {name: cells.get(name) for name in ("tests", "errors", "failures", "skipped")} == {
        "tests": "4", "errors": "1", "failures": "0", "skipped": "1"}
    assert (gates.get("tests"), gates.get("failures")) == ("2", "1")
    assert [case.get("name") for case in cells] == [cell.key for cell in results().cells]
    first, timed, torn, _ = cells
    assert first.get("time") == "1.250"
    assert {each.get("name"): each.get("value") for each in first.iter("property")} == {"pck@0.05": "0.75"}
    assert {each.get("name"): each.get("value") for each in timed.iter("property")} == {"p50_ms": "2.2"}
    assert torn.find("error").get("message") == 'bad \ufffd\ufffd "bytes" & more'
    assert gates[1].find("failure").get("message") == "is 2: too slow"


def test_a_latency_that_is_not_valid_says_so():
    run = results()
    timed = run.cells[1]
    doubtful = timed.latency.model_copy(update={"valid": False, "why": "p90 is above 10 ms", "noisy": True})
    run = run.model_copy(update={"cells": [timed.model_copy(update={"latency": doubtful}), timed]})
    (text,) = JunitReporter(Params()).render(FinishedRun(run)).values()
    first, second = ET.fromstring(text)[0]
    assert {each.get("name"): each.get("value") for each in first.iter("property")} == {
        "p50_ms": "2.2", "invalid": "p90 is above 10 ms", "noisy": "the machine was disturbed"}
    assert [each.get("name") for each in second.iter("property")] == ["p50_ms"]
    (text,) = CsvReporter(Params()).render(FinishedRun(run)).values()
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["name"] == "p50_ms"]
    assert [(row["value"], row["error"], row["noisy"]) for row in rows] == [
        ("2.2", "p90 is above 10 ms", "True"), ("2.2", "", "")]


def test_benchmark_statistics_are_those_of_pytest_benchmark():
    (text,) = PytestBenchmarkReporter(Params()).render(FinishedRun(results())).values()
    (benchmark,) = json.loads(text)["benchmarks"]
    peer = Stats()
    for value in ROUNDS:
        peer.update(value / 1e3)
    for name, value in peer.as_dict().items():
        assert benchmark["stats"][name] == (pytest.approx(value) if isinstance(value, float) else value), name
    assert benchmark["group"] == "single-stream-b1-t2"
    assert benchmark["fullname"] == "lab::latency/m/fp32/b/single-stream-b1-t2"
    assert benchmark["extra_info"]["key"] == benchmark["name"] == "latency/m/fp32/b/single-stream-b1-t2"


def test_pytest_benchmark_reads_the_file(tmp_path):
    (text,) = PytestBenchmarkReporter(Params()).render(FinishedRun(results())).values()
    (tmp_path / "run.json").write_text(text)
    done = subprocess.run([sys.executable, "-m", "pytest_benchmark", "compare", tmp_path / "run.json", "--csv",
                           tmp_path / "out.csv"], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "latency/m/fp32/b/single-stream-b1-t2" in (tmp_path / "out.csv").read_text()


def test_the_summary_of_a_step_on_github(tmp_path, monkeypatch):
    context = RunContext(tmp_path, {}, results=results())
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    harness_run_finished(context)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    harness_run_finished(context)
    text = summary.read_text()
    assert text.startswith("before\n# lab")
    assert "**failed**" in text.replace("\\*", "*")
