"""Do exports still give what was measured when they were made? Torch-free.

For each export: the hashes of its files, the ONNX checker, torch's golden outputs, the same outputs in batches of any
size, and the accuracy on the recorded test data.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from harness import evaluate
from harness.errors import HandledError, ModelFileError, UsageError
from harness.exports import PARITY, RECORD, ExportRecord, FileRecord, load_export, sha256
from harness.flat import difference
from harness.host import Host
from harness.precisions import recorded_data
from harness.prepared import Prepared
from harness.results import MetricResult
from harness.table import Column, Ragged, Table

FRACTION_TOLERANCE = 0.002
"""Largest difference of a re-measured fraction: processors round differently, and a sample may tip over."""
RELATIVE_TOLERANCE = 0.01
"""Largest relative difference of a number with another unit; below 1 it is absolute."""
_BATCHES = (1, 3, 8)
_IMAGE = "input.image"


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check of one export."""

    export: str
    name: str
    passed: bool
    detail: str


def verify(host: Host, path: Path, *, accuracy: bool = True) -> Iterator[Check]:
    """All checks of one export folder, or of every folder below `path`, as they are made.

    Raises UsageError when there is nothing to verify.
    """
    for folder in export_folders(path):
        yield from _Verification(host, folder).checks(accuracy)


def export_folders(path: Path) -> list[Path]:
    """The folder itself when it is an export, otherwise its subfolders."""
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder; give a folder of exports, e.g. exports/")
    if (path / RECORD).is_file() or any(path.glob("*.onnx")):
        return [path]
    folders = sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not folders:
        raise UsageError(f"{path}: holds no exports; `harness train SUITE` makes them")
    return folders


class _Verification:
    """The checks of one export; a check that raises has failed."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder

    def checks(self, accuracy: bool) -> Iterator[Check]:
        try:
            self.record = load_export(self.folder)
        except HandledError as error:
            yield Check(self.folder.name, "record", passed=False, detail=str(error))
            return
        yield self._run("hash", self._hashes)
        for precision, file in self.record.files.items():
            path = self.folder / file.file
            yield self._run(f"onnx {precision}", partial(_check_onnx, path, self.record))
            if precision in self.record.variants:  # fewer bits differ from torch; what they lose is in the accuracy
                continue
            yield self._run(f"parity {precision}", partial(self._parity, path))
            yield self._run(f"batch {precision}", partial(self._batches, path))
        if accuracy and "fp32" in self.record.files:
            yield self._run("accuracy fp32", partial(self._accuracy, "fp32", self.record.accuracy))
            for precision, variant in self.record.variants.items():
                yield self._run(f"accuracy {precision}", partial(self._accuracy, precision, variant.accuracy))

    def _run(self, name: str, check: Callable[[], str]) -> Check:
        """check returns what it found, or raises HandledError with what is wrong."""
        try:
            return Check(self.folder.name, name, passed=True, detail=check())
        except HandledError as error:
            return Check(self.folder.name, name, passed=False, detail=str(error))

    def _hashes(self) -> str:
        files = [*self.record.files.values(), *self.record.raw.values(), self.record.golden, self.record.snapshots,
                 self.record.weights]
        present = [file for file in files if file is not None]
        for file in present:
            _check_hash(self.folder / file.file, file)
        return f"{len(present)} files as recorded"

    def _golden(self) -> Table:
        path = self.folder / self.record.golden.file
        try:
            table = Table.load(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelFileError(f"{path}: can not be read: {error}; export again") from error
        if _IMAGE not in table:
            raise ModelFileError(f"{path}: has no column {_IMAGE}; export again")
        return table

    def _parity(self, path: Path) -> str:
        golden = self._golden()
        expected = Table({name.removeprefix("output."): golden[name] for name in golden if name != _IMAGE})
        worst = _largest_difference(evaluate.run_batches(path, golden.dense(_IMAGE), golden.rows), expected)
        if not worst <= PARITY:
            raise ModelFileError(f"{path}: differs from torch's golden outputs by {worst:.2e}, at most {PARITY:g} is "
                                 "allowed")
        return f"within {worst:.1e} of torch on {golden.rows} samples"

    def _batches(self, path: Path) -> str:
        golden = self._golden().dense(_IMAGE)
        inputs = np.resize(golden, (max(_BATCHES), *golden.shape[1:]))
        single = evaluate.run_batches(path, inputs, 1)
        for batch in _BATCHES[1:]:
            worst = _largest_difference(evaluate.run_batches(path, inputs, batch), single)
            if not worst <= PARITY:
                raise ModelFileError(f"{path}: a batch of {batch} gives other outputs than one by one, by {worst:.2e}")
        return f"same outputs in batches of {', '.join(map(str, _BATCHES))}"

    def _accuracy(self, precision: str, recorded: Mapping[str, MetricResult]) -> str:
        path = self.folder / self.record.files[precision].file
        data = Prepared.load(recorded_data(self.host, self.record), evaluate.card_of(path).input)
        metrics = self.record.recipe.get("metrics", {})
        measured = evaluate.accuracy(self.host, path, data, metrics, intervals=False)
        for name, expected in recorded.items():
            _check_number(name, expected, measured.get(name))
        first = next(iter(recorded), None)
        sample = f", {first} = {measured[first].value:.4f}" if first and measured[first].value is not None else ""
        return f"{len(recorded)} numbers as recorded on {len(data)} samples{sample}"


def _check_hash(path: Path, file: FileRecord) -> None:
    if not path.is_file():
        raise ModelFileError(f"{path}: is missing; restore it or export again")
    if (actual := sha256(path)) != file.sha256:
        raise ModelFileError(f"{path}: was changed after its export: sha256 {actual[:12]}..., recorded "
                             f"{file.sha256[:12]}...; restore it or export again")


def _check_onnx(path: Path, record: ExportRecord) -> str:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
    except FileNotFoundError:
        raise ModelFileError(f"{path}: is missing; restore it or export again") from None
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, DecodeError, OSError) as error:
        raise ModelFileError(f"{path}: is not a valid ONNX model: {' '.join(str(error).split())[:200]}") from error
    card = evaluate.card_of(path)
    if card.weights_sha256 != record.weights_sha256:
        raise ModelFileError(f"{path}: its metadata names other weights than {RECORD}; export again")
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return f"valid, opset {opset}, {card.task}"


def _largest_difference(actual: Table, expected: Table) -> float:
    for name, values in expected.items():
        found = _shape(actual[name]) if name in actual else "nothing"
        if found != _shape(values):
            raise ModelFileError(f"output {name} is {found}, {_shape(values)} was recorded; export again")
    return max(difference(actual[name], values) for name, values in expected.items())


def _shape(column: Column) -> str:
    if not isinstance(column, Ragged):
        return str(column.shape)
    return f"{np.diff(column.offsets).tolist()} x {column.values.shape[1:]}"


def _check_number(name: str, expected: MetricResult, measured: MetricResult | None) -> None:
    found = measured.value if measured else None
    if found is None or expected.value is None:
        if found is not expected.value:
            raise ModelFileError(f"{name} is {found}, {expected.value} was recorded")
        return
    tolerance = FRACTION_TOLERANCE if expected.unit == "fraction" else RELATIVE_TOLERANCE * max(1, abs(expected.value))
    if not abs(found - expected.value) <= tolerance:
        raise ModelFileError(f"{name} is {found:.5g}, {expected.value:.5g} was recorded (tolerance {tolerance:.2g})")
