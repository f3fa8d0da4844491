"""`harness publish`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from harness.cli.options import discover, no_plugins_option


@click.command("publish", short_help="Make a static site of many runs: trends, changes, and every report.")
@click.argument("runs", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("site"), show_default=True,
              help="Folder of the site.")
@no_plugins_option
def command(runs: Path, output: Path, no_plugins: tuple[str, ...]) -> int:
    """Make a site of all finished runs in the folder RUNS and below it.

    A page for each suite shows every number over its runs with changes of level; dots lead to the reports. Plain files:
    any web server, or none, shows them. Reports that are there already are not made again.
    """
    from harness.cli.rendering import write_report
    from harness.site.build import publish

    for page in publish(runs, output, partial(write_report, discover(no_plugins))):
        click.echo(page)
    return 0
