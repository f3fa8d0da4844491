"""`harness validate`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import SUITE, discover, echo_json, no_plugins_option, profile_option, read


@click.command("validate", short_help="Check a suite file; every mistake is shown with its line.")
@click.argument("suite", type=SUITE, required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of suites with the installed plugins, for editors.")
@profile_option
@no_plugins_option
def command(suite: Path | None, schema: bool, profile: str | None, no_plugins: tuple[str, ...]) -> int:
    """Check SUITE without running it: keys, values, references, and that its plugins are installed.

    With --schema, print the JSON Schema instead; an editor uses it through a first line `#:schema ./suite.schema.json`.
    """
    host = discover(no_plugins)
    if schema:
        from harness.schema import suite_schema

        echo_json(suite_schema(host))
        return 0
    if suite is None:
        raise click.UsageError("needs a SUITE, or --schema")
    from harness.plan import make_plan

    plan = make_plan(read(suite, host, profile))
    click.echo(f"{suite}: valid, {len(plan.cells)} cells")
    return 0
