"""`harness bench`: latency of ONNX files without a suite, through the same cells, rounds and statistics."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from harness import __version__, environment
from harness.contracts import ModelFile, ModelRequest, Progress
from harness.errors import UsageError, one_of
from harness.exports import RECORD
from harness.graphinputs import Shapes
from harness.host import Host
from harness.params import Params
from harness.plan import Cell, LatencySetting
from harness.ratios import with_ratio
from harness.results import CellResult, Cost, Results
from harness.specs import ModelSpec, Provider, ScenarioSpec
from harness.suite import BackendEntry, ModelEntry
from harness.timing import Outcome, measure_cells
from harness.worker import base_result, model_fields


class FileParams(Params):
    """The files of one model by precision."""

    files: dict[str, Path]
    """Precision -> ONNX file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What to measure: every file on every backend with every batch and number of threads.

    precisions: None for that of each file; batches: None when the shapes say it, else 1; scenario_params: its own keys.
    """

    files: Sequence[Path]
    backends: Sequence[BackendEntry]
    scenario: ScenarioSpec
    scenario_params: Params
    precisions: Sequence[str] | None = None
    batches: Sequence[int] | None = None
    threads: Sequence[int] = (1,)
    shapes: Shapes = field(default_factory=Shapes)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Results with what a reader must know beside them."""

    results: Results
    notes: Sequence[str]


def bench(host: Host, request: BenchRequest, progress: Progress) -> Measured:
    """Measure in turns. Raises UsageError or ModelFileError before anything is measured."""
    notes: list[str] = []
    with _entries(host, request, notes) as entries:
        cells = [cell for entry in entries for cell in _cells(entry, request, notes)]
        if not cells:
            raise UsageError(f"nothing to measure: {'; '.join(notes)}")
        outcomes = measure_cells(cells, progress)
        results = [_result(outcome) for outcome in outcomes]
    found = Results(suite={"suite": {"name": "bench"}}, environment=environment.describe(), plugins=[],
                    cells=_compared(cells, results))
    return Measured(found, notes)


def locate(params: FileParams, request: ModelRequest) -> ModelFile:
    """How a cell finds its file."""
    return ModelFile(params.files[request.precision])


def resolve(path: Path) -> Path:
    """An ONNX file, or the float32 one of an export folder. Raises UsageError for neither."""
    if path.is_dir():
        path = path / "model.fp32.onnx"
    if not path.is_file():
        raise UsageError(f"{path}: no such model file; give an ONNX file or the folder of an export")
    return path


@contextmanager
def _entries(host: Host, request: BenchRequest, notes: list[str]) -> Iterator[list[ModelEntry]]:
    from harness.benchfiles import own_precision, variant

    names: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as folder:
        entries = []
        for index, path in enumerate(map(resolve, request.files)):
            own = own_precision(path)
            files = {}
            for precision in request.precisions or (own,):
                target = Path(folder) / f"{index}" / f"model.{precision}.onnx"
                files[precision] = path if precision == own else variant(
                    host, path, own, precision, request.shapes, target, notes)
            id_ = _name(path)
            names[id_] = names.get(id_, 0) + 1
            unique = id_ if names[id_] == 1 else f"{id_}-{names[id_]}"
            entries.append(ModelEntry(unique, _SPEC, FileParams(files=files)))
        yield entries


_SPEC = ModelSpec(name="file", summary="ONNX files of the command line.", params=FileParams,
                  locate="harness.benching:locate", provider=Provider("bench", "vision-harness", __version__))


def _name(path: Path) -> str:
    return path.parent.name if (path.parent / RECORD).is_file() else path.stem


def _cells(entry: ModelEntry, request: BenchRequest, notes: list[str]) -> Iterator[Cell]:
    """What the backends can run; notes: is told what they can not."""
    params = entry.params
    if not isinstance(params, FileParams):
        raise TypeError(f"{entry.id} has other params")
    for precision, backend in product(params.files, request.backends):
        if precision not in backend.spec.precisions:
            notes.append(f'backend "{backend.id}" does not run {precision} (it runs {one_of(backend.spec.precisions)})')
            continue
        for batch, threads in product(request.batches or (None,), request.threads):
            feeds, size = request.shapes.feeds(params.files[precision], batch)
            setting = LatencySetting(request.scenario, request.scenario_params, size, threads, feeds)
            yield Cell(kind="latency", model=entry, precision=precision, backend=backend, seed=request.seed,
                       latency=setting)


def _result(outcome: Outcome) -> CellResult:
    cell, failure, opening = outcome.cell, outcome.failure, outcome.opening
    if failure is not None or opening is None:
        error = failure.error if failure else None
        return base_result(cell, "", status="failed" if error else "skipped", error=error,
                           reason=failure.reason if failure else None)
    megabytes = round(Path(opening.file.path).stat().st_size / 1e6, 3)
    return base_result(cell, "", status="ok", latency=outcome.latency, runs_on=opening.runs_on,
                       executed=dict(opening.executed), settings=dict(opening.settings), **model_fields(opening.file),
                       cost=Cost(seconds=round(outcome.seconds, 3), peak_rss_mb=outcome.peaks.rss,
                                 gpu_mb=outcome.peaks.gpu,
                                 model_mb=megabytes))


def _compared(cells: Sequence[Cell], results: Sequence[CellResult]) -> list[CellResult]:
    """Ratios to the first cell with the same batch and threads."""
    first: dict[Any, CellResult] = {}
    compared = []
    for cell, result in zip(cells, results, strict=True):
        key = (cell.latency.batch, cell.latency.threads) if cell.latency else None
        latency = result.latency
        if latency is not None:
            base = first.setdefault(key, result).latency
            latency = with_ratio(latency, base) if base is not None else latency
        compared.append(result.model_copy(update={"latency": latency}))
    return compared


def settings(pairs: Mapping[str, Any], model: type[Params], who: str) -> Params:
    """A plugin's params from a command line; raises UsageError that names the first mistake."""
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(pairs))
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UsageError(f"{who}: {mistakes} (its keys: {one_of(model.model_fields)})") from None


