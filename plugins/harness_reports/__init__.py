"""Reporters: what results look like outside of the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from harness.api import ReporterSpec, hookimpl


@hookimpl
def harness_reporters() -> Iterable[ReporterSpec]:
    return [
        ReporterSpec(name="html", summary="One self-contained page with tables, plots and pictures.",
                     factory="harness_reports.html.reporter:HtmlReporter"),
        ReporterSpec(name="markdown", summary="Tables for a pull request or a job summary.",
                     factory="harness_reports.markdown:MarkdownReporter"),
        ReporterSpec(name="csv", summary="One line per cell and number.", factory="harness_reports.csv:CsvReporter"),
    ]
