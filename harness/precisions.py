"""Files of other precisions in an export: made, measured, recorded. Torch-free."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import calibration, evaluate, variants
from harness.contracts import Dataset, ModelFile
from harness.errors import ModelFileError, UsageError, one_of
from harness.exports import RECORD, ExportRecord, FileRecord, PrecisionRecord, load_export
from harness.files import write_bytes, write_text
from harness.host import Host, blame, create
from harness.prepared import Prepared
from harness.specs import DatasetSpec, ModelSpec
from harness.suite import CalibrationTable
from harness.variants import Tell


def check_precisions(precisions: Sequence[str]) -> list[str]:
    """Those to be made from the float32 file. Raises UsageError for one that is none."""
    known = ("fp32", *variants.PRECISIONS)
    for precision in precisions:
        if precision not in known:
            raise UsageError(f"--precision {precision}: can not be made; {one_of(known)} can")
    return [precision for precision in dict.fromkeys(precisions) if precision != "fp32"]


def copy_export(source: Path, target: Path) -> None:
    """An export under another name, or nothing when it is the same folder. Raises ModelFileError when it is none."""
    record = load_export(source)
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)
        _write(target, record.model_copy(update={"id": target.name}))


def add_precision(host: Host, folder: Path, precision: str, asked: CalibrationTable, tell: Tell) -> ExportRecord:
    """Make `model.<precision>.onnx` from the export's float32 file, and measure it on the recorded test data.

    int8 is calibrated on the training split of the export's recipe. Raises ModelFileError when the precision loses more
    than `asked` allows, or the folder is no export.
    """
    record = load_export(folder)
    if "fp32" not in record.files:
        raise ModelFileError(f"{folder}: has no float32 file to make {precision} from; export its checkpoint")
    source = ModelFile(folder / record.files["fp32"].file)
    spec = host.spec(ModelSpec, record.model)
    chosen = calibration.of_training(host, spec.recipe.model_validate(record.recipe), asked)
    variant = variants.make(source, precision, chosen, tell)
    path = folder / f"model.{precision}.onnx"
    write_bytes(path, variant.model.SerializeToString())
    tell(f"{path.name}: accuracy on the test data")
    data = Prepared.load(recorded_data(host, record), evaluate.card_of(path).input)
    accuracy = evaluate.accuracy(host, path, data, record.recipe.get("metrics", {}))
    record = record.model_copy(update={
        "files": {**record.files, precision: FileRecord.of(path)},
        "variants": {**record.variants, precision: PrecisionRecord(facts=variant.facts, accuracy=accuracy)}})
    _write(folder, record)
    return record


def recorded_data(host: Host, record: ExportRecord) -> Dataset:
    """The data that an export's accuracy was measured on."""
    spec = host.spec(DatasetSpec, record.dataset.use)
    with blame(spec):
        dataset: Dataset = create(spec, spec.params.model_validate(record.dataset.params))
    return dataset


def _write(folder: Path, record: ExportRecord) -> None:
    write_text(folder / RECORD, record.model_dump_json(indent=2, by_alias=True) + "\n")
