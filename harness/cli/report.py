"""`harness report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import discover, no_plugins_option

if TYPE_CHECKING:
    from harness.host import Host


@click.command("report", short_help="Make the report of a finished run, compare several, or show results otherwise.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "format_", default="html", show_default=True, metavar="html|table|json|REPORTER",
              help="html writes a file; everything else goes to standard output unless --output says where.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the files; by default that of the last run for html, standard output for other formats.")
@no_plugins_option
def command(runs: tuple[Path, ...], format_: str, output: Path | None, no_plugins: tuple[str, ...]) -> int:
    """Make the report of a RUN, a run's folder or its results.json, from what lies there; nothing is measured.

    Several runs give comparison.html: the later ones against the first, with the verdicts of `harness compare`, and
    every number over all of them. Reporter plugins make the formats; `harness plugins list --kind reporter` shows them.
    """
    from harness.cli.rendering import REPORT, renderer, reporter_spec, write_files
    from harness.errors import UsageError
    from harness.rundir import read_results

    host = discover(no_plugins)
    run = runs[-1]
    directory = run if run.is_dir() else run.parent
    if output is None and format_ == REPORT:
        output = directory
    if len(runs) > 1:
        if output is None or format_ != REPORT:
            raise UsageError(f"--format {format_}: several runs give html; `harness compare` has other formats")
        click.echo(_compare(runs, host, output))
        return 0
    if output is None:
        show = renderer(format_, host)  # an unknown format is said before the file is read
        show(read_results(run), directory)
        return 0
    spec = reporter_spec(format_, host)
    for path in write_files(spec, read_results(run), directory, output):
        click.echo(path)
    return 0


def _compare(paths: Sequence[Path], host: Host, output: Path) -> Path:
    from harness.compare.runs import Run
    from harness.compare.table import compare
    from harness.site.build import compare_runs

    runs = [Run.read(path, host) for path in paths]
    # What differs beside the models is told on the page: a page is looked at, it decides nothing.
    comparisons = [compare(runs[0], run, force=True) for run in runs[1:]]
    return compare_runs(comparisons, [(str(run.path), run.results) for run in runs], output)
