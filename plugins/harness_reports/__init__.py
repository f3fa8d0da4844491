"""Reporters: what results look like outside of the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from harness.api import FinishedRun, Params, ReporterSpec, RunContext, hookimpl


@hookimpl
def harness_reporters() -> Iterable[ReporterSpec]:
    return [
        ReporterSpec(name="html", summary="One self-contained page with tables, plots and pictures.",
                     factory="harness_reports.html.reporter:HtmlReporter"),
        ReporterSpec(name="markdown", summary="Tables for a pull request or a job summary.",
                     factory="harness_reports.markdown:MarkdownReporter"),
        ReporterSpec(name="junit", summary="A test case for each cell and gate, as CI systems show them.",
                     factory="harness_reports.junit:JunitReporter"),
        ReporterSpec(name="pytest-benchmark", summary="Latency cells as pytest-benchmark's JSON.",
                     factory="harness_reports.benchmark:PytestBenchmarkReporter"),
        ReporterSpec(name="csv", summary="One line per cell and number.", factory="harness_reports.csv:CsvReporter"),
    ]


@hookimpl
def harness_run_finished(context: RunContext) -> None:
    """On GitHub every run adds its tables to the summary of the job's step."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary or context.results is None:
        return
    from harness_reports.markdown import MarkdownReporter

    (report,) = MarkdownReporter(Params()).render(FinishedRun(context.results, context.directory)).values()
    with Path(summary).open("a", encoding="utf-8") as file:
        file.write(report if isinstance(report, str) else report.decode())
