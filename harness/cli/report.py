"""`harness report`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import discover, no_plugins_option


@click.command("report", short_help="Make the report of a finished run, or show its results in another format.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--format", "format_", default="html", show_default=True, metavar="html|table|json|REPORTER",
              help="html writes a file; everything else goes to standard output unless --output says where.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the files; by default that of the run for html, standard output for other formats.")
@no_plugins_option
def command(run: Path, format_: str, output: Path | None, no_plugins: tuple[str, ...]) -> int:
    """Make the report of RUN, a run's folder or its results.json, from what lies there; nothing is measured.

    Reporter plugins make the formats; `harness plugins list --kind reporter` shows them.
    """
    from harness.cli.rendering import REPORT, renderer, reporter_spec, write_files
    from harness.rundir import read_results

    host = discover(no_plugins)
    directory = run if run.is_dir() else run.parent
    if output is None and format_ == REPORT:
        output = directory
    if output is None:
        show = renderer(format_, host)  # an unknown format is said before the file is read
        show(read_results(run), directory)
        return 0
    spec = reporter_spec(format_, host)
    for path in write_files(spec, read_results(run), directory, output):
        click.echo(path)
    return 0
