"""Executes one group of cells, usually in a process of its own: whatever happens becomes a result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from harness import identity, quality, timing
from harness.cache import IDS, Cache
from harness.contracts import Dataset, ModelFile, Progress, Unreadable
from harness.errors import BackendUnavailable
from harness.exports import RECORD, SNAPSHOTS
from harness.failures import error_result, peak_rss_mb
from harness.files import write_bytes, write_text
from harness.plan import Cell
from harness.results import CellResult, Cost, ErrorResult
from harness.table import Table
from harness.timing import Outcome

T = TypeVar("T")
_FEW = 4
"""Samples read at a time where nothing says how many: native images may be large."""


@dataclass(frozen=True, slots=True)
class CellGroup:
    """A harness.contracts.Group: picklable, executed in a worker. ids: of the cells, in their order."""

    cells: tuple[Cell, ...]
    ids: tuple[str, ...]
    directory: Path
    cache: Cache

    @property
    def keys(self) -> Sequence[str]:
        return [cell.key for cell in self.cells]

    @property
    def exclusive(self) -> bool:
        return any(cell.kind == "latency" for cell in self.cells)

    def execute(self, progress: Progress, *, fresh_process: bool = False) -> list[CellResult]:
        if all(cell.kind == "latency" for cell in self.cells):
            outcomes = timing.measure_cells(self.cells, progress, fresh_process=fresh_process)
            return [self._latency(outcome, id_) for outcome, id_ in zip(outcomes, self.ids, strict=True)]
        results = [self._execute(cell, id_, progress) for cell, id_ in zip(self.cells, self.ids, strict=True)]
        if fresh_process and len(results) == 1:  # of several cells nobody could tell whose peak it was
            cost = results[0].cost.model_copy(update={"peak_rss_mb": peak_rss_mb()})
            results = [results[0].model_copy(update={"cost": cost})]
        return results

    def failed(self, error_type: str, message: str) -> list[CellResult]:
        error = ErrorResult(type=error_type, message=message)
        return [base_result(cell, id_, status="failed", error=error)
                for cell, id_ in zip(self.cells, self.ids, strict=True)]

    def _execute(self, cell: Cell, id_: str, progress: Progress) -> CellResult:
        started = time.perf_counter()
        progress(cell.key, 0, cell.samples or 0)
        try:
            file = identity.locate_model(cell.model, cell.precision)
            return self._quality(cell, id_, file, progress, started)
        except BackendUnavailable as error:
            return base_result(cell, id_, status="skipped", reason=str(error))
        except Exception as error:  # noqa: BLE001  a failed cell is a result
            return base_result(cell, id_, status="failed", error=error_result(error))

    def _quality(self, cell: Cell, id_: str, file: ModelFile, progress: Progress, started: float) -> CellResult:
        dataset, measured = quality.measure(cell, file, self.cache, progress)
        metrics, curves = quality.summarize(cell, measured)
        files = self._save_rows(cell, measured.rows, measured.predictions)
        extras, none = _Extras(), dict[str, str]()
        files |= extras.get("its pictures", lambda: self._save_thumbnails(cell, file, dataset, measured), none)
        files |= extras.get("the record of its training", lambda: self._keep_record(cell, Path(file.path)), none)
        gflop = extras.get("its operations", lambda: _gflop(file), None)
        unreadable = unreadable_note(measured.unreadable, len(dataset))
        cost = Cost(seconds=round(time.perf_counter() - started, 3), model_mb=_megabytes(file), gflop=gflop,
                    forward_passes=measured.forward_passes, map_ms=measured.map_ms, map_passes=measured.map_passes)
        return base_result(cell, id_, status="ok", metrics=metrics, curves=curves, runs_on=measured.runs_on,
                           executed=dict(measured.executed), cached=measured.cached, files=files, cost=cost,
                           reason="; ".join(filter(None, [unreadable, *extras.notes])) or None, **model_fields(file))

    def _latency(self, outcome: Outcome, id_: str) -> CellResult:
        try:
            return self._timed(outcome, id_)
        except Exception as error:  # noqa: BLE001  the other cells of the group have their results
            return base_result(outcome.cell, id_, status="failed", error=error_result(error))

    def _timed(self, outcome: Outcome, id_: str) -> CellResult:
        if outcome.failure is not None:
            return latency_cell(outcome, id_)
        name, turns = f"samples/{slug(outcome.cell.key)}.npz", outcome.turns
        Table({"nanoseconds": np.concatenate([turn.nanoseconds for turn in turns]),
               "round": np.repeat(np.arange(len(turns)), [len(turn.nanoseconds) for turn in turns]),
               "served": np.concatenate([np.arange(len(turn.nanoseconds)) < turn.served for turn in turns])}
              ).save(self.directory / name)
        return latency_cell(outcome, id_, {"samples": name})

    def _keep_record(self, cell: Cell, model: Path) -> dict[str, str]:
        """Copy what is told of the model's training, where its export has it, so that the folder tells the whole."""
        from harness.epochs import save_epochs

        record = model.with_name(RECORD)
        if not record.is_file():
            return {}
        files = {"export": f"exports/{slug(cell.model.id)}.json"}
        write_bytes(self.directory / files["export"], record.read_bytes())
        picture = f"exports/{slug(cell.model.id)}.epochs.jpg"
        if save_epochs(model.with_name(SNAPSHOTS), self.directory / picture):
            files["epochs"] = picture
        return files

    def _save_rows(self, cell: Cell, rows: dict[str, Table], predictions: Table) -> dict[str, str]:
        folder = f"rows/{slug(cell.key)}"
        names = {f"rows.{id_}": f"{folder}/{slug(id_)}.npz" for id_ in rows}
        for id_, table in rows.items():
            table.save(self.directory / names[f"rows.{id_}"])
        names["ids"] = f"{folder}/sample ids.npz"  # no slug of a metric has a space
        predictions.select([IDS]).save(self.directory / names["ids"])
        return names

    def _save_thumbnails(self, cell: Cell, file: ModelFile, dataset: Dataset,
                         measured: quality.Quality) -> dict[str, str]:
        from harness.onnx.models import load_card
        from harness.showcase import choose, indices_of
        from harness.thumbnails import Writer

        name = f"thumbnails/{slug(cell.key)}"
        predictions, maps = measured.predictions, measured.maps
        showcase = choose(cell.metrics, measured.rows, predictions.rows)
        writer = Writer(self.directory / name, load_card(file))
        rows = {id_: row for row, id_ in enumerate(predictions.dense(IDS))}
        outputs = predictions.select([column for column in predictions if column != IDS])
        indices = indices_of(showcase.rows, len(measured.unreadable), len(dataset))
        for batch in dataset.batches(cell.batch_size or _FEW, indices):
            for id_, image, target in zip(batch.ids, batch.images, batch.targets, strict=True):
                if (row := rows.get(id_)) in showcase.rows:
                    map_ = maps.find(id_) if maps else None
                    writer.add(id_, image, target, outputs, row, showcase.scores.get(row), map_, measured.inner)
        writer.close()
        files = {"thumbnails": name}
        if showcase.scores:
            files["scores"] = f"scores/{slug(cell.key)}.json"
            ids = predictions.dense(IDS)
            write_text(self.directory / files["scores"],
                       json.dumps([{"id": str(ids[row]), **scores} for row, scores in showcase.scores.items()],
                                  allow_nan=False))
        return files


def latency_cell(outcome: Outcome, id_: str, files: Mapping[str, str] | None = None) -> CellResult:
    """The result of a latency cell. files: its raw data, relative to the run's folder."""
    cell, opening, failure = outcome.cell, outcome.opening, outcome.failure
    if failure is not None:
        return base_result(cell, id_, status="skipped" if failure.error is None else "failed",
                           reason=failure.reason, error=failure.error)
    if opening is None:
        raise ValueError(f"{cell.key} was neither opened nor refused")
    cost = Cost(seconds=round(outcome.seconds, 3), peak_rss_mb=outcome.peaks.rss, gpu_mb=outcome.peaks.gpu,
                model_mb=_megabytes(opening.file), gflop=opening.gflop)
    return base_result(cell, id_, status="ok", latency=outcome.latency, runs_on=opening.runs_on, cost=cost,
                       executed=dict(opening.executed), settings=dict(opening.settings), files=dict(files or {}),
                       **model_fields(opening.file))


def base_result(cell: Cell, id_: str, **fields: Any) -> CellResult:
    """A result with everything that the plan already knows."""
    return CellResult(
        key=cell.key, id=id_, kind=cell.kind, provider=str(cell.model.spec.provider), seed=cell.seed,
        dataset=cell.dataset.id if cell.dataset else None, model=cell.model.id, precision=cell.precision,
        backend=cell.backend.id, saliency=cell.saliency.id if cell.saliency else None, target=cell.target, **fields)


@dataclass(frozen=True, slots=True)
class _Extras:
    """What is made after a measurement and must not cost it. notes: what could not be made."""

    notes: list[str] = field(default_factory=list)

    def get(self, what: str, make: Callable[[], T], otherwise: T) -> T:
        try:
            return make()
        except Exception as error:  # noqa: BLE001  a full disk, a metric that does not take single rows
            self.notes.append(f"without {what}: {type(error).__name__}: {error}")
            return otherwise


def _megabytes(file: ModelFile) -> float:
    return round(Path(file.path).stat().st_size / 1e6, 3)


def _gflop(file: ModelFile) -> float | None:
    from harness.onnx.flops import gflop
    from harness.onnx.models import load_card

    return gflop(Path(file.path), load_card(file))


def model_fields(file: ModelFile) -> dict[str, str]:
    """Which file was measured, so that a later comparison knows whether it is still the same."""
    path = Path(file.path)
    return {"model_file": str(path.resolve()), "model_sha256": identity.file_sha256(path)}


def unreadable_note(unreadable: Sequence[Unreadable], total: int) -> str | None:
    """Which samples could not be read, by name."""
    if not unreadable:
        return None
    named = "; ".join(f"{each.id}: {each.reason}" for each in unreadable[:5])
    more = f"; and {len(unreadable) - 5} more" if len(unreadable) > 5 else ""
    return f"{len(unreadable)} of {total} samples can not be read: {named}{more}"


def slug(key: str) -> str:
    """A key as a file name."""
    return "".join(char if char.isalnum() or char in "._+-@" else "_" for char in key.replace("/", "--"))


def cell_ids(cells: Iterable[Cell]) -> dict[str, str]:
    """By key; the files of a dataset are looked at once."""
    datasets: dict[tuple[str, int], dict[str, Any]] = {}
    return {cell.key: cell_id(cell, datasets) for cell in cells}


def cell_id(cell: Cell, datasets: dict[tuple[str, int], dict[str, Any]]) -> str:
    """Hash of everything that determines the outcome, as far as it can be known before the cell runs.

    datasets: what is known of datasets so far, by name and seed; added to.
    """
    try:
        file = identity.locate_model(cell.model, cell.precision)
        if cell.kind == "latency":
            return identity.digest(identity.of_timing(cell, file))
        from harness.opened import open_dataset

        if cell.dataset is None:
            raise ValueError(f"{cell.key} has no dataset")
        known = cell.dataset.id, cell.seed
        if known not in datasets:
            datasets[known] = identity.of_dataset(cell.dataset, open_dataset(cell.dataset, cell.seed), cell.seed)
        predictions = identity.of_predictions(cell, datasets[known], file)
        return identity.digest([predictions, [identity.of_metric(metric) for metric in cell.metrics], cell.seed])
    except Exception as error:  # noqa: BLE001  it will fail; a retry after the repair gets another id
        return identity.digest(["failed", cell.key, str(error)])
