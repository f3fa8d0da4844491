"""Results as tables for people, as JSON, or as whatever a reporter plugin makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from harness.contracts import FinishedRun, Reporter
from harness.errors import PluginError, UsageError, did_you_mean, one_of
from harness.files import write_bytes
from harness.host import Host, create, default_params
from harness.results import MetricResult, Results
from harness.specs import ReporterSpec

Renderer = Callable[[Results, Path], None]


def renderer(name: str, host: Host) -> Renderer:
    """How to show results on standard output. Raises UsageError for a format that nobody provides, PluginError where a
    plugin that failed may have had it.
    """
    if name == "table":
        from harness.terminal import print_results

        return print_results
    if name == "json":
        return lambda results, _: click.echo(results.model_dump_json(by_alias=True, indent=1))
    spec = reporter_spec(name, host)
    reporter: Reporter = create(spec, default_params(spec))

    def show(results: Results, directory: Path) -> None:
        for content in _render(spec, reporter, results, directory).values():
            click.echo(content, nl=False)

    return show


def reporter_spec(name: str, host: Host) -> ReporterSpec:
    """Raises UsageError for a format that nobody provides, PluginError where a plugin that failed may have had it."""
    known = ["table", "json", *host.names("reporter")]
    if name not in known and not host.may_be_broken(ReporterSpec, name):
        raise UsageError(f'--format: there is no format or reporter "{name}"{did_you_mean(name, known)} '
                         f"(known: {one_of(known)})")
    if name in known[:2]:
        raise UsageError(f"--format {name} goes to standard output; leave out --output")
    return host.spec(ReporterSpec, name)


REPORT = "html"
"""The reporter that every run ends with."""


def write_report(host: Host, results: Results, directory: Path, output: Path | None = None) -> Path | None:
    """Write the report of a run, into its own folder by default; None where no plugin makes one.

    Raises PluginError when the reporter fails.
    """
    if REPORT not in host.names("reporter"):
        return None
    return write_files(host.spec(ReporterSpec, REPORT), results, directory, output or directory)[0]


def write_files(spec: ReporterSpec, results: Results, directory: Path, output: Path) -> list[Path]:
    """Write what a reporter makes of a run into the folder `output`. Raises PluginError when the reporter fails."""
    made = _render(spec, create(spec, default_params(spec)), results, directory)
    for name, content in made.items():
        write_bytes(output / name, content.encode() if isinstance(content, str) else content)
    return [output / name for name in made]


def _render(spec: ReporterSpec, reporter: Reporter, results: Results, directory: Path) -> Mapping[str, str | bytes]:
    try:
        return reporter.render(FinishedRun(results, directory))
    except Exception as error:
        raise PluginError(f'reporter "{spec.name}" of plugin {spec.provider} failed: {type(error).__name__}: {error}; '
                          f"the results are in {directory}") from error


def print_export(path: Path, accuracy: Mapping[str, MetricResult]) -> None:
    """Where an export is and its main numbers."""
    click.echo(str(path))
    for name, result in accuracy.items():
        if result.value is not None and not result.detail:
            unit = "" if result.unit == "fraction" else f" {result.unit}"
            click.echo(f"  {name:<24} {result.value:.4f}{unit}")
