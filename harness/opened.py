"""A model opened for one cell: its card, its session, and checked, counted predictions in native pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.card import ModelCard
from harness.contracts import Backend, Dataset, ModelFile
from harness.errors import BackendUnavailable, CellError, DataError, TaskMismatch
from harness.flat import by_sample
from harness.geometry import Fit
from harness.host import blame, create
from harness.plan import Cell
from harness.suite import DatasetEntry
from harness.table import Array, Column, Ragged, Table
from harness.tasks import IMAGE, TASKS, Space

if TYPE_CHECKING:
    from harness.onnx.runner import ModelRunner


def open_dataset(entry: DatasetEntry, seed: int) -> Dataset:
    """The suite's dataset with its transforms, which draw by the seed. Raises DataError when it is missing or empty."""
    dataset: Dataset
    with blame(entry.spec):
        dataset = create(entry.spec, entry.params)
        if len(dataset) == 0:
            raise DataError(f'dataset "{entry.id}" is empty')
    if entry.transforms:
        from harness.transforms import TransformedDataset

        return TransformedDataset(dataset, entry.transforms, seed)
    return dataset


def backend_of(cell: Cell) -> Backend:
    """The cell's backend. Raises BackendUnavailable when it can not run here."""
    backend: Backend = create(cell.backend.spec, cell.backend.params)
    reason = backend.unavailable()
    if reason:
        raise BackendUnavailable(reason)
    return backend


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(slots=True)
class OpenedModel:
    """A harness.contracts.ModelHandle. passes: samples sent through the network so far."""

    name: str
    path: Path
    card: ModelCard
    runner: ModelRunner
    passes: int = field(default=0)

    @property
    def runs_on(self) -> str:
        return self.runner.session.runs_on

    def outputs(self, inputs: NDArray[np.float32], ids: Sequence[str]) -> dict[str, Array]:
        """All outputs of the task, in model input pixels. Raises CellError for NaN or infinite values."""
        self.passes += len(inputs)
        outputs = self.runner.predict(inputs)
        for name, array in outputs.items():
            self._check_finite(name, array, ids, outputs)
        return outputs

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, ...) float32 inputs -> (N, C) logits."""
        return self.outputs(inputs, [f"#{index}" for index in range(len(inputs))])["logits"]

    def to_native(self, outputs: dict[str, Array], fits: Sequence[Fit]) -> Table:
        """The outputs that are stored, in native pixels, one row per sample."""
        task = TASKS[self.card.task]
        stored = {output.name: outputs[output.name] for output in task.outputs
                  if output.name in outputs and output.stored}
        columns = by_sample(task, stored, len(fits))
        for output in task.outputs:
            if output.space is not None and output.name in columns:
                columns[output.name] = _in_native(columns[output.name], output.space, fits)
        return Table(columns)

    def class_indices(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """(N,) class indices of label names. Raises TaskMismatch for a label that the model does not know."""
        found = [self.card.class_index(label) for label in labels]
        for label, index in zip(labels, found, strict=True):
            if index is None:
                raise TaskMismatch(f'model "{self.name}" has no class for the label "{label}"; '
                                   f"set models.{self.name}.classes")
        return np.array(found, np.int64)

    def _check_finite(self, name: str, array: Array, ids: Sequence[str], outputs: dict[str, Array]) -> None:
        from harness.onnx.runner import first_nonfinite

        if first_nonfinite(array) is None:
            return
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        output = TASKS[self.card.task].output(name)
        if output is not None and output.flat:
            rows = np.unique(outputs[IMAGE][rows])
        bad = [ids[int(index)] for index in rows]
        more = f" and {len(bad) - 1} more in this batch" if len(bad) > 1 else ""
        raise CellError(f'model "{self.name}" gave NaN or infinite values in its output "{name}" for sample '
                        f'"{bad[0]}"{more} ({self.path})')


def _in_native(column: Column, space: Space, fits: Sequence[Fit]) -> Column:
    """Each sample's coordinates, model input pixels -> native pixels."""
    values = [fit.points_to_native(column[i]) if space == "points" else fit.boxes_to_native(column[i])
              for i, fit in enumerate(fits)]
    return Ragged(np.concatenate(values), column.offsets) if isinstance(column, Ragged) else np.stack(values)


@contextmanager
def open_model(cell: Cell, file: ModelFile, threads: int) -> Iterator[OpenedModel]:
    """Open the cell's model on its backend; closed at the end."""
    from harness.onnx.models import load_card
    from harness.onnx.runner import ModelRunner

    backend = backend_of(cell)
    card = load_card(file)
    if cell.saliency is not None and cell.saliency.layer is not None:
        card = card.model_copy(update={"cam_layer": cell.saliency.layer})
    if cell.dataset is not None and card.task != cell.dataset.spec.task:
        raise TaskMismatch(f'model "{cell.model.id}" is a {card.task} model, dataset "{cell.dataset.id}" is for '
                           f"{cell.dataset.spec.task}")
    session = backend.open(Path(file.path), threads=threads)
    try:
        yield OpenedModel(cell.model.id, Path(file.path), card, ModelRunner(session, card, Path(file.path)))
    finally:
        session.close()
