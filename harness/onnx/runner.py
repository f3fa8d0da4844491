"""From a batch of prepared inputs to the outputs of a task, whatever names, dtype and batch size the graph has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import flat
from harness.card import ModelCard, SsdDecoder
from harness.contracts import InferenceSession
from harness.errors import ModelFileError
from harness.onnx.interface import shape_text
from harness.onnx.models import resolve_io
from harness.suppression import decode_ssd
from harness.tasks import TASKS

Array = NDArray[Any]
Outputs = dict[str, Array]


class ModelRunner:
    """An open model as its task sees it.

    Raises ModelFileError when the graph does not serve the card's task (see resolve_io).
    """

    def __init__(self, session: InferenceSession, card: ModelCard, path: Path) -> None:
        self.session = session
        self.card = card
        self.path = path
        self.interface = resolve_io(card, session, path)
        self._task = TASKS[card.task]

    def predict(self, inputs: NDArray[np.float32]) -> Outputs:
        """(N, ...) float32 in the card's layout, N > 0 -> task output -> array (N, ...); floats come back as float32.

        Flat outputs have one row per detection, `image` gives each row's sample. A graph with a fixed batch size is
        run in pieces of that size, the last one filled up with its last sample.
        """
        size = self.interface.batch or len(inputs)
        starts = range(0, len(inputs), size)
        pieces = [self._predict(inputs[start : start + size]) for start in starts]
        return flat.join(self._task, pieces, [min(size, len(inputs) - start) for start in starts])

    def bind(self, inputs: NDArray[np.float32]) -> Callable[[], None]:
        """One inference on these inputs, to be timed.

        Raises ModelFileError when the graph is fixed at another batch size: pieces would be another measurement.
        """
        fixed = self.interface.batch
        if fixed is not None and fixed != len(inputs):
            raise ModelFileError(f"{self.path}: the graph is fixed at batch {fixed} and can not be timed at batch "
                                 f"{len(inputs)}; export it with a dynamic batch or set batch = {fixed}")
        return self.session.bind(self._feeds(inputs))

    def run_once(self, inputs: NDArray[np.float32]) -> None:
        """One inference whose outputs nobody wants, as a first one is timed."""
        self.session.run(self._feeds(inputs))

    def _feeds(self, inputs: NDArray[np.float32]) -> Outputs:
        return {self.interface.input.name: inputs.astype(self.interface.input.dtype, copy=False)}

    def _predict(self, piece: NDArray[np.float32]) -> Outputs:
        count = len(piece)
        missing = (self.interface.batch or count) - count
        filled = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece
        raw = self.session.run(self._feeds(filled))
        if self.card.decoder is not None:
            return flat.first(self._task, self._decoded(self.card.decoder, raw, len(filled)), count)
        outputs = {name: self._checked(name, raw[graph], len(filled)) for name, graph in self.interface.outputs.items()}
        for name, problem in flat.problems(self._task, outputs, len(filled)):
            raise ModelFileError(f"{self.path}: output {self.interface.outputs[name]!r} {problem}; map other outputs "
                                 "in `outputs`")
        return flat.first(self._task, outputs, count)

    def _decoded(self, decoder: SsdDecoder, raw: Outputs, count: int) -> Outputs:
        """Detections by the card's decoder; what the graph itself gives of the task, e.g. activations, stays."""
        boxes, scores = raw[decoder.boxes], raw[decoder.scores]
        told = f"{self.path}: decoder: boxes {shape_text(boxes.shape)} and scores {shape_text(scores.shape)}"
        if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[:2] != scores.shape[:2]:
            raise ModelFileError(f"{told} are not (N, A, 4) and (N, A, C); name other outputs in `decoder`")
        if decoder.background is not None and decoder.background >= scores.shape[2]:
            raise ModelFileError(f"{told} have no class {decoder.background}; correct `decoder.background`")
        if decoder.levels is not None and sum(decoder.levels) != boxes.shape[1]:
            raise ModelFileError(f"{told}, but `decoder.levels` add up to {sum(decoder.levels)} anchors")
        rest = {name: self._checked(name, raw[graph], count) for name, graph in self.interface.outputs.items()}
        return {**rest, **decode_ssd(decoder, raw, self.card.input.size)}

    def _checked(self, name: str, array: Array, count: int) -> Array:
        output = self._task.output(name)
        if output is None:
            raise ValueError(f"{self._task.name} has no output {name}")  # resolve_io maps known ones only
        shape = output.shape
        if array.ndim != len([dim for dim in shape.strip("()").split(",") if dim]):
            raise ModelFileError(f"{self.path}: output {self.interface.outputs[name]!r} has shape "
                                 f"{shape_text(array.shape)}, but {self._task.name} {name} is {shape}; "
                                 f"map another output in `outputs`")
        if len(array) != count and not output.flat:
            raise ModelFileError(f"{self.path}: output {self.interface.outputs[name]!r} has {len(array)} rows for a "
                                 f"batch of {count}; its first dimension must be the batch")
        return array.astype(np.float32, copy=False) if np.issubdtype(array.dtype, np.floating) else array


def first_nonfinite(array: Array) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity in C order, or None."""
    if not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all():
        return None
    flat = int(np.argmin(np.isfinite(array)))
    return tuple(int(index) for index in np.unravel_index(flat, array.shape))
