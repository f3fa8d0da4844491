"""`harness compare`."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from harness.cli.options import discover, no_plugins_option, only_option
from harness.errors import EXIT_CELLS, EXIT_GATE, EXIT_OK


class _Percent(click.ParamType[float]):
    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)%", str(value))
        if not found:
            self.fail(f'"{value}" is not a percentage like "2%"', param, ctx)
        return float(found[1]) / 100


@click.command("compare", short_help="Compare two runs: paired tests, and regressions by the exit code.")
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--tolerance", type=_Percent(), default="0%", show_default=True, metavar="PERCENT",
              help="A relative loss up to this is no regression, even when it is significant.")
@click.option("--rerun", is_flag=True,
              help="Measure the exports of both runs again, in turns: then latencies can fail as well.")
@only_option
@click.option("--force", is_flag=True, help="Compare in spite of other conventions, datasets or machines.")
@click.option("--format", "format_", type=click.Choice(["table", "json", "markdown"]), default="table",
              show_default=True)
@no_plugins_option
def command(run_a: Path, run_b: Path, tolerance: float, rerun: bool, only: tuple[str, ...], force: bool, format_: str,
            no_plugins: tuple[str, ...]) -> int:
    """Compare RUN_B with RUN_A, the baseline; each is the folder of a run or its results.json.

    Metrics are tested on the same samples: McNemar's test for what is right or wrong, a paired bootstrap for the rest;
    p-values are adjusted over the table. Latencies of two runs are advisory, because machines change. Exit code 1 when
    a change is significant and worse than the tolerance, 3 when a cell that RUN_A measured failed, was skipped or is
    missing in RUN_B; --only says which cells should be there.
    """
    from harness.compare.runs import Run
    from harness.compare.table import compare
    from harness.compare.wording import markdown

    host = discover(no_plugins)
    a, b = Run.read(run_a, host), Run.read(run_b, host)
    with redirect_stdout(sys.stderr):
        found = compare(a, b, tolerance=tolerance, only=only, rerun=rerun, force=force)
    if format_ == "json":
        click.echo(found.model_dump_json(indent=1))
    elif format_ == "markdown":
        click.echo(markdown(found), nl=False)
    else:
        from harness.terminal import print_comparison

        print_comparison(found)
    if found.lost:
        return EXIT_CELLS
    return EXIT_GATE if found.regressions else EXIT_OK
