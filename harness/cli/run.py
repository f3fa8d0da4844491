"""`harness run`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import (
    discover,
    no_plugins_option,
    only_option,
    profile_option,
    read,
    stop_writing,
    suite_argument,
)
from harness.errors import EXIT_INTERRUPTED, HandledError

if TYPE_CHECKING:
    from harness.host import Host
    from harness.run import Outcome
    from harness.terminal import RunDisplay


@click.command("run", short_help="Run a suite: accuracy, latency and explanation quality.")
@suite_argument
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of this run; by default runs/<suite name>/<time>.")
@click.option("--format", "format_", default="table", show_default=True, metavar="table|json|REPORTER",
              help="What goes to standard output: tables, results.json, or what a reporter (markdown, csv) makes.")
@only_option
@profile_option
@click.option("--executor", metavar="NAME", help="Executor plugin: local (worker processes) or inline.")
@click.option("--fresh", is_flag=True, help="Measure everything again: no cache, and no interrupted run is continued.")
@click.option("--no-report", is_flag=True, help="Do not write report.html into the run's folder.")
@click.option("--dry-run", is_flag=True, help="Show the plan with estimated forward passes; measure nothing.")
@no_plugins_option
def command(suite: Path, output: Path | None, format_: str, only: tuple[str, ...], profile: str | None,
            executor: str | None, fresh: bool, no_report: bool, dry_run: bool, no_plugins: tuple[str, ...]) -> int:
    """Run every cell of SUITE and report accuracy, latency and explanation quality.

    An interrupted run is continued by the same command; predictions and metric rows of earlier runs are reused where
    nothing that determines them has changed, latency never is. The run ends with report.html in its folder.
    """
    from harness.cli.rendering import renderer
    from harness.plan import count_samples, make_plan
    from harness.run import RunOptions, run_suite
    from harness.terminal import RunDisplay, print_plan

    host = discover(no_plugins)
    read_suite = read(suite, host, profile)
    if dry_run:
        print_plan(count_samples(make_plan(read_suite).select(only)))
        return 0
    show = renderer(format_, host)  # an unknown format must not cost a run
    options = RunOptions(output=output, only=only, executor=executor, fresh=fresh)
    with RunDisplay() as display, redirect_stdout(sys.stderr):  # what plugins print is no result
        try:
            outcome = run_suite(read_suite, host, options, display)
        except KeyboardInterrupt:
            display.warn("interrupted; what is measured is kept, the same command continues")
            return EXIT_INTERRUPTED
        if not no_report:
            _report(host, outcome, display)
    try:
        show(outcome.results, outcome.directory)
    except BrokenPipeError:  # nobody reads it, the verdict stands
        stop_writing()
    return outcome.exit_code


def _report(host: Host, outcome: Outcome, display: RunDisplay) -> None:
    """Write the report. One that can not be written is said and costs neither the results nor their verdict."""
    from harness.cli.rendering import write_report

    try:
        path = write_report(host, outcome.results, outcome.directory)
    except (HandledError, OSError) as error:
        display.warn(f"there is no report: {error}; once it is repaired, `harness report {outcome.directory}` makes it")
        return
    if path is not None:
        display.tell(f"report: {path}")
