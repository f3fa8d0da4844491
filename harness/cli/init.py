"""`harness init`."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import UsageError


@click.command("init", short_help="Write a commented starter suite that runs at once.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--force", is_flag=True, help="Overwrite files that are already there.")
def command(folder: Path, force: bool) -> int:
    """Write suite.toml and its JSON Schema for editors into FOLDER (by default here).

    The suite uses the exports that come with harness: it needs neither downloads nor training.
    """
    import json

    from harness.cli.options import discover
    from harness.schema import suite_schema

    starter = Path(__file__).parent.parent / "data" / "starter.toml"
    files = {"suite.toml": starter.read_text(encoding="utf-8"),
             "suite.schema.json": json.dumps(suite_schema(discover(())), indent=1) + "\n"}
    existing = [name for name in files if (folder / name).exists()]
    if existing and not force:
        raise UsageError(f"{folder / existing[0]} is already there; --force overwrites it, or name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder}: can not be written: {error.strerror}") from None
    click.echo(f"wrote {folder / 'suite.toml'}; next: harness run {folder / 'suite.toml'}")
    return 0
