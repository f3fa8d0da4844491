"""`harness export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import discover, key_value, no_plugins_option
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.suite import CalibrationTable


@click.command("export", short_help="Export a checkpoint to ONNX, or an export to another precision, opset or decoder.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of exports; this one goes to a subfolder named by --id. By default exports/; precisions are "
                   "added to the export where it is.")
@click.option("--id", "id_", metavar="NAME", help="Name of the export; by default that of the source.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Changes a param of the model that does not touch its weights, e.g. decoder=dark; repeatable.")
@click.option("--opset", type=int, metavar="NUMBER", help="Of the ONNX operators; by default 18.")
@click.option("--precision", "precisions", multiple=True, metavar="fp16|int8",
              help="Also make model.PRECISION.onnx from the float32 file; repeatable.")
@click.option("--calibration", "calibration", multiple=True, metavar="KEY=VALUE",
              help="How int8 is made, as in a suite: count=256, metric=pck, max_loss=0.01, method=percentile; "
                   "repeatable.")
@no_plugins_option
def command(source: Path, output: Path | None, id_: str | None, changes: tuple[str, ...], opset: int | None,
            precisions: tuple[str, ...], calibration: tuple[str, ...], no_plugins: tuple[str, ...]) -> int:
    """Export the best weights in SOURCE: the folder of a checkpoint, as left by `harness train`, or of an export.

    The graph is held against torch on test samples, and its accuracy is measured and recorded. int8 is calibrated on
    training data; layers stay in float until it loses no more than `max_loss`. Where only other precisions of an export
    are asked for, no torch is needed.
    """
    from harness.cli.rendering import print_export
    from harness.exports import RECORD
    from harness.precisions import add_precision, check_precisions

    wanted, settings = check_precisions(precisions), _settings(calibration)
    changed = dict(key_value(text, "--set", "decoder=dark") for text in changes)
    host = discover(no_plugins)
    if wanted and not changes and opset is None and (source / RECORD).is_file():
        folder = _copied(source, output, id_)
    else:
        from harness.export import OPSET, export

        output = Path("exports") if output is None else output
        record = export(host, source, output, id_=id_, changes=changed, opset=opset or OPSET)
        print_export(folder := output / record.id, record.accuracy)
    for precision in wanted:
        record = add_precision(host, folder, precision, settings, lambda text: click.echo(text, err=True))
        print_export(folder / record.files[precision].file, record.variants[precision].accuracy)
    return 0


def _copied(source: Path, output: Path | None, id_: str | None) -> Path:
    """Where precisions are added: the export itself, or a copy of it."""
    from harness.exports import load_export
    from harness.precisions import copy_export

    if output is None and id_ is None:
        return source
    folder = (Path("exports") if output is None else output) / (id_ or load_export(source).id)
    copy_export(source, folder)
    return folder


def _settings(texts: tuple[str, ...]) -> CalibrationTable:
    """Of the options --calibration KEY=VALUE; the dataset is the model's own."""
    from pydantic import ValidationError

    from harness.suite import CalibrationTable

    given = dict(key_value(text, "--calibration", "count=256") for text in texts)
    if "dataset" in given:
        raise UsageError("--calibration dataset: an export is calibrated on its own training data; a suite can name "
                         "another dataset")
    try:
        return CalibrationTable.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--calibration {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
