"""`harness run`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

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
from harness.errors import EXIT_INTERRUPTED


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
@click.option("--dry-run", is_flag=True, help="Show the plan with estimated forward passes; measure nothing.")
@no_plugins_option
def command(suite: Path, output: Path | None, format_: str, only: tuple[str, ...], profile: str | None,
            executor: str | None, fresh: bool, dry_run: bool, no_plugins: tuple[str, ...]) -> int:
    """Run every cell of SUITE and report accuracy, latency and explanation quality.

    An interrupted run is continued by the same command; predictions and metric rows of earlier runs are reused where
    nothing that determines them has changed, latency never is.
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
    try:
        show(outcome.results, outcome.directory)
    except BrokenPipeError:  # nobody reads it, the verdict stands
        stop_writing()
    return outcome.exit_code
