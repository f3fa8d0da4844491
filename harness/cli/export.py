"""`harness export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.options import discover, no_plugins_option
from harness.errors import UsageError


@click.command("export", short_help="Export a checkpoint to ONNX with decoding in the graph.")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=Path("exports"), show_default=True,
              help="Folder of exports; this one goes to a subfolder named by --id.")
@click.option("--id", "id_", metavar="NAME", help="Name of the export; by default the checkpoint's model id.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Changes a param of the model that does not touch its weights, e.g. decoder=dark; repeatable.")
@no_plugins_option
def command(checkpoint: Path, output: Path, id_: str | None, changes: tuple[str, ...],
            no_plugins: tuple[str, ...]) -> int:
    """Export the best weights in the folder CHECKPOINT, as left by `harness train`.

    The graph is held against torch on test samples, and its accuracy is measured and recorded.
    """
    from harness.cli.train import report
    from harness.export import export

    record = export(discover(no_plugins), checkpoint, output, id_=id_, changes=dict(map(_change, changes)))
    report(output / record.id, record)
    return 0


def _change(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value read as TOML where it is, as text otherwise."""
    import tomllib

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"--set {text}: must be KEY=VALUE, e.g. decoder=dark")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
