"""`harness list`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import (
    discover,
    echo_json,
    no_plugins_option,
    only_option,
    profile_option,
    read,
    suite_argument,
)


@click.command("list", short_help="Show the cells of a suite with estimated forward passes.")
@suite_argument
@only_option
@profile_option
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@no_plugins_option
def command(suite: Path, only: tuple[str, ...], profile: str | None, format_: str, no_plugins: tuple[str, ...]) -> int:
    """Show what `harness run SUITE` would measure."""
    from harness.plan import count_samples, make_plan

    plan = count_samples(make_plan(read(suite, discover(no_plugins), profile)).select(only))
    if format_ == "json":
        echo_json([{"key": cell.key, "kind": cell.kind, "metrics": [metric.id for metric in cell.metrics],
                    "samples": cell.samples, "forward_passes": cell.forward_passes} for cell in plan.cells])
    else:
        from harness.terminal import print_plan

        print_plan(plan)
    return 0
