"""`--format`: tables for people, JSON, or whatever a reporter plugin makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import click

from harness.contracts import FinishedRun, Reporter
from harness.errors import PluginError, UsageError, did_you_mean, one_of
from harness.host import Host, create, default_params
from harness.results import Results
from harness.specs import ReporterSpec

Renderer = Callable[[Results, Path], None]


def renderer(name: str, host: Host) -> Renderer:
    """How to show results on standard output. Raises UsageError for a format that nobody provides."""
    if name == "table":
        from harness.terminal import print_results

        return print_results
    if name == "json":
        return lambda results, _: click.echo(results.model_dump_json(by_alias=True, indent=1))
    known = ["table", "json", *host.names("reporter")]
    if name not in known:
        raise UsageError(f'--format: there is no format or reporter "{name}"{did_you_mean(name, known)} '
                         f"(known: {one_of(known)})")
    spec = host.spec(ReporterSpec, name)
    reporter: Reporter = create(spec, default_params(spec))

    def show(results: Results, directory: Path) -> None:
        for content in _render(spec, reporter, results, directory).values():
            click.echo(content, nl=False)

    return show


def _render(spec: ReporterSpec, reporter: Reporter, results: Results, directory: Path) -> Mapping[str, str | bytes]:
    try:
        return reporter.render(FinishedRun(results, directory))
    except Exception as error:
        raise PluginError(f'reporter "{spec.name}" of plugin {spec.provider} failed: {type(error).__name__}: {error}; '
                          f"the results are in {directory}") from error
