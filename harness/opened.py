"""A model opened for one cell: its card, its session, and checked, counted predictions in native pixels."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.card import InputSpec, ModelCard
from harness.contracts import Backend, Dataset, InferenceSession, ModelFile, TellsPrecision, TellsSettings
from harness.errors import BackendUnavailable, CellError, DataError, TaskMismatch
from harness.flat import by_sample
from harness.geometry import Fit, colored, normalize
from harness.host import blame, create
from harness.masks import ClassMap, classes, native_classes, pack_masks
from harness.plan import Cell
from harness.suite import DatasetEntry
from harness.table import Array, Column, Ragged, Table
from harness.tasks import IMAGE, TASKS, Space

if TYPE_CHECKING:
    from harness.handle import Handle
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


def automatic_batch(spec: InputSpec, device: str) -> int:
    """Samples per forward pass: as many as have some 16 MB of input, at most 16 on a CPU, where more gain nothing.

    device: "cpu", or that of an accelerator, which takes four times as many.
    """
    values = spec.size[0] * spec.size[1] * spec.channels
    factor = 1 if device == "cpu" else 4
    return max(1, min(16 * factor, factor * 2**22 // values))


@dataclass(slots=True)
class OpenedModel:
    """A model with its session. passes: samples sent through the network so far, those of its handle included.

    seconds: of each batch so far, by sample; open_file: opens a file on the same backend, None if that takes no ONNX.
    """

    name: str
    path: Path
    card: ModelCard
    runner: ModelRunner
    open_file: Callable[[Path], InferenceSession] | None = None
    passes: int = 0
    seconds: list[float] = field(default_factory=list)
    opened: Handle | None = None

    @property
    def runs_on(self) -> str:
        return self.runner.session.runs_on

    @property
    def executed(self) -> dict[str, int]:
        """Layers with weights by the type that they are computed in; empty where the backend can not tell."""
        return executed(self.runner.session)

    def outputs(self, inputs: NDArray[np.float32], ids: Sequence[str]) -> dict[str, Array]:
        """All outputs of the task, in model input pixels. Raises CellError for NaN or infinite values."""
        self._count(len(inputs))
        started = time.perf_counter()
        outputs = self.runner.predict(inputs)
        self.seconds.append((time.perf_counter() - started) / len(inputs))
        for name, array in outputs.items():
            self._check_finite(name, array, ids, outputs)
        return outputs

    @property
    def handle(self) -> Handle:
        """The model for generators and metrics. Raises CellError where the backend runs no graphs."""
        if self.opened is None:
            if self.open_file is None:
                raise CellError(f'model "{self.name}": explanations need a backend that opens ONNX files')
            from harness.handle import open_handle

            self.opened = open_handle(self.card, self.path, self.open_file, self._count)[0]
        return self.opened

    def close(self) -> None:
        self.runner.session.close()
        if self.opened is not None:
            self.opened.close()

    def _count(self, samples: int) -> None:
        self.passes += samples

    def to_native(self, outputs: dict[str, Array], fits: Sequence[Fit]) -> Table:
        """The outputs that are stored, in native pixels, one row per sample."""
        task = TASKS[self.card.task]
        stored = {output.name: outputs[output.name] for output in task.outputs
                  if output.name in outputs and output.stored}
        columns = by_sample(task, stored, len(fits))
        for output in task.outputs:
            if output.name not in columns:
                continue
            if output.space == "map":
                columns.update(pack_masks(list(map(self._native_classes, stored[output.name], fits))))
                del columns[output.name]
            elif output.space is not None:
                columns[output.name] = _in_native(columns[output.name], output.space, fits)
        return Table(columns)

    def segment(self, images: Sequence[NDArray[np.uint8]], ids: Sequence[str]) -> Table:
        """The class of each pixel of images of any size, tile by tile; as stored by `to_native`.

        images: (H, W, C) uint8 native; the model's card must have `tile`. Raises CellError as `outputs` does.
        """
        return Table(pack_masks([self._segment(image, id_) for image, id_ in zip(images, ids, strict=True)]))

    def _segment(self, image: NDArray[np.uint8], id_: str) -> ClassMap:
        from harness.tiling import predict_tiles

        if self.card.tile is None:
            raise ValueError(f"{self.name} takes one size of images only")
        result = np.empty(image.shape[:2], np.int16)

        def predict(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            return self.outputs(normalize(pixels, self.card.input), [id_])["logits"]

        for part, logits in predict_tiles(colored(image, self.card.input.color), self.card.tile, predict):
            result[part] = classes(logits)
        return result

    def _native_classes(self, logits: NDArray[np.float32], fit: Fit) -> ClassMap:
        return native_classes(logits, fit, self.card.tile.margin if self.card.tile else 0)

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


def opened_path(cell: Cell, file: ModelFile) -> Path:
    """What the cell's backend opens: the ONNX file, or the folder of the export that it lies in."""
    path = Path(file.path)
    return path if cell.backend.spec.accepts == "onnx" else path.parent


def executed(session: InferenceSession) -> dict[str, int]:
    """Layers with weights by the type that they are computed in; empty where the backend can not tell."""
    return dict(session.executed()) if isinstance(session, TellsPrecision) else {}


def chosen(session: InferenceSession) -> dict[str, Any]:
    """Options that the backend chose by measuring; empty where it chose nothing."""
    return dict(session.settings) if isinstance(session, TellsSettings) else {}


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
    path = Path(file.path)
    open_file = partial(backend.open, threads=threads)
    session = open_file(opened_path(cell, file))
    try:
        model = OpenedModel(cell.model.id, path, card, ModelRunner(session, card, path),
                            open_file if cell.backend.spec.accepts == "onnx" else None)
    except BaseException:
        session.close()
        raise
    try:
        yield model
    finally:
        model.close()
