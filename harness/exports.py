"""Exports: folders that hold `model.<precision>.onnx` and `export.json`, the record of how the model was made.

Torch-free. `find` is how model plugins locate the file of a suite's model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from harness.card import PrecisionFacts
from harness.checkpoint import Epoch
from harness.contracts import ModelFile, ModelRequest
from harness.errors import ModelFileError, one_of
from harness.params import Params
from harness.results import MetricResult, Record

RECORD = "export.json"
GOLDEN = "golden.npz"
SNAPSHOTS = "snapshots.npz"
WEIGHTS = "weights.safetensors"
PARITY = 1e-4
"""Largest absolute difference allowed between torch and onnxruntime, in the unit of each output."""


class FileRecord(Record):
    """One file of an export, relative to its folder."""

    file: str
    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        return cls(file=path.name, sha256=sha256(path), bytes=path.stat().st_size)


class DatasetRecord(Record):
    """The test data that the accuracy was measured on."""

    use: str
    """The dataset plugin."""
    params: dict[str, Any]


class PrecisionRecord(Record):
    """A file of another precision: how it was made, and what it still reaches."""

    facts: PrecisionFacts
    accuracy: dict[str, MetricResult]
    """Measured through onnxruntime on the export's `dataset`."""


class ExportRecord(Record):
    """`export.json`: what the model is, how it was trained, and what was measured when it was exported."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str
    model: str
    """The model plugin's name."""
    export_id: str | None
    provider: str
    """The plugin, its distribution and version."""
    task: str
    params: dict[str, Any]
    """Of the model."""
    recipe: dict[str, Any]
    weights_sha256: str
    """Of the checkpoint's weights."""
    files: dict[str, FileRecord]
    """By precision."""
    raw: dict[str, FileRecord] = {}
    """By precision: the graph before its last steps (suppression), with fixed shapes at batch 1; see its card."""
    weights: FileRecord | None = None
    """The network's parameters and buffers as trained: what torch runs, and what another export is made from."""
    variants: dict[str, PrecisionRecord] = {}
    """By precision: files that were made from the float32 one."""
    golden: FileRecord
    """Inputs and torch's outputs for a few test samples: columns input.NAME and output.NAME."""
    snapshots: FileRecord | None = None
    """Dense outputs for a few validation samples after each epoch."""
    parity: dict[str, float]
    """Largest absolute difference between torch and onnxruntime by output, over `parity_samples` test samples."""
    parity_samples: int
    dataset: DatasetRecord
    accuracy: dict[str, MetricResult]
    """Measured through onnxruntime on `dataset`."""
    history: list[Epoch]
    best_epoch: int | None = None
    """The epoch whose weights were exported."""
    producer: dict[str, str]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_export(folder: Path) -> ExportRecord:
    """Raises ModelFileError when the folder has no readable export.json."""
    path = folder / RECORD
    try:
        return ExportRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelFileError(f"{folder}: not an export, it has no {RECORD}; `harness train` and `harness export` "
                             "make one") from None
    except (OSError, ValidationError) as error:
        raise ModelFileError(f"{path}: can not be used: {error}; export it again") from error


def shipped() -> Path:
    """The exports that come with the installation; those of the repository in an editable one."""
    package = Path(__file__).parent
    installed = package / "data" / "exports"
    return installed if installed.is_dir() else package.parent / "exports"


def find(params: Params, request: ModelRequest) -> ModelFile:
    """The ONNX file of a suite's model: an explicit export, or the first folder that has one.

    In each of the request's folders and then in the shipped exports, the suite's id of the model comes first, the
    plugin's export id second. Raises ModelFileError when there is none, or when it was made with other params or
    another recipe than the suite says.
    """
    name = f"model.{request.precision}.onnx"
    if request.export is not None and request.export.suffix == ".onnx":
        return ModelFile(request.export)
    folders = [request.export] if request.export is not None else list(_candidates(request))
    for folder in folders:
        if (folder / name).is_file():
            if (folder / RECORD).is_file():
                _check_same(folder, params, request)
            return ModelFile(folder / name)
    raise _not_found(name, folders, request)


def _candidates(request: ModelRequest) -> Iterator[Path]:
    ids = dict.fromkeys(id_ for id_ in (request.id, request.export_id) if id_)
    for folder in dict.fromkeys((*request.folders, shipped())):
        for id_ in ids:
            yield folder / id_


def _not_found(name: str, folders: list[Path], request: ModelRequest) -> ModelFileError:
    names = [path.name.split(".") for folder in folders for path in folder.glob("model.*.onnx")]
    present = {parts[1] for parts in names if len(parts) == 3}
    if present:
        return ModelFileError(f'model "{request.id}" has no {name}, only {one_of(present)}; it was looked for in '
                              f"{_listed(folders)}; use one of these precisions")
    way_out = "correct models." + request.id + ".export" if request.export else _way_out(request)
    return ModelFileError(f'model "{request.id}" has no export: {name} is not in {_listed(folders)}; {way_out}')


def _check_same(folder: Path, params: Params, request: ModelRequest) -> None:
    record = load_export(folder)
    if request.export_id and record.export_id and record.export_id != request.export_id:
        raise ModelFileError(f'model "{request.id}": {folder} is an export of "{record.model}"; {_way_out(request)}')
    suite = {**params.model_dump(mode="json"), **_prefixed(request.train)}
    stored = {**record.params, **_prefixed(record.recipe)}
    differences = [f"{key} = {stored[key]!r} there, {value!r} in the suite"
                   for key, value in suite.items() if key in stored and not _equal(stored[key], value)]
    if differences:
        raise ModelFileError(f'model "{request.id}": the export in {folder} was made with other settings: '
                             f"{'; '.join(differences)}; {_way_out(request)}")


def _equal(stored: Any, given: Any) -> bool:
    """Of values that a suite may write partly: a table agrees when its keys do."""
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        return all(key in stored and _equal(stored[key], value) for key, value in given.items())
    if isinstance(stored, list | tuple) and isinstance(given, list | tuple):
        return len(stored) == len(given) and all(map(_equal, stored, given))
    return bool(stored == given)


def _prefixed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {f"train.{key}": value for key, value in recipe.items()}


def _way_out(request: ModelRequest) -> str:
    return f"train it with `harness train SUITE --only {request.id}`, or name an export: models.{request.id}.export"


def _listed(folders: list[Path]) -> str:
    return ", ".join(map(str, folders))
