"""`harness verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli.options import discover, echo_json, no_plugins_option
from harness.errors import EXIT_CELLS


@click.command("verify", short_help="Re-check hash, parity and accuracy of exports, without torch.")
@click.argument("exports", type=click.Path(path_type=Path))
@click.option("--accuracy/--no-accuracy", default=True, show_default=True, help="Measure the accuracy again.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@no_plugins_option
def command(exports: Path, accuracy: bool, format_: str, no_plugins: tuple[str, ...]) -> int:
    """Check the export in the folder EXPORTS, or every export below it.

    Files against their hashes, the graph with the ONNX checker, outputs against torch's golden ones and between batch
    sizes, and the accuracy on the recorded test data. Exit code 3 when a check fails.
    """
    from harness.verify import verify

    checks = []
    for check in verify(discover(no_plugins), exports, accuracy=accuracy):
        checks.append(check)
        if format_ == "table":
            click.echo(f"{'ok    ' if check.passed else 'FAILED'}  {check.export:<20} {check.name:<14} {check.detail}")
    if format_ == "json":
        echo_json([asdict(check) for check in checks])
    return 0 if all(check.passed for check in checks) else EXIT_CELLS
