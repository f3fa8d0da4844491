"""From a batch of prepared inputs to the outputs of a task, whatever names, dtype and batch size the graph has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.card import ModelCard
from harness.contracts import InferenceSession
from harness.errors import ModelFileError
from harness.onnx.interface import shape_text
from harness.onnx.models import resolve_io
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

        A graph with a fixed batch size is run in pieces of that size, the last one filled up with its last sample.
        """
        size = self.interface.batch or len(inputs)
        pieces = [self._predict(inputs[start : start + size]) for start in range(0, len(inputs), size)]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in self.interface.outputs}

    def bind(self, inputs: NDArray[np.float32]) -> Callable[[], None]:
        """One inference on these inputs, to be timed.

        Raises ModelFileError when the graph is fixed at another batch size: pieces would be another measurement.
        """
        fixed = self.interface.batch
        if fixed is not None and fixed != len(inputs):
            raise ModelFileError(f"{self.path}: the graph is fixed at batch {fixed} and can not be timed at batch "
                                 f"{len(inputs)}; export it with a dynamic batch or set batch = {fixed}")
        return self.session.bind(self._feeds(inputs))

    def _feeds(self, inputs: NDArray[np.float32]) -> Outputs:
        return {self.interface.input.name: inputs.astype(self.interface.input.dtype, copy=False)}

    def _predict(self, piece: NDArray[np.float32]) -> Outputs:
        count = len(piece)
        missing = (self.interface.batch or count) - count
        filled = np.concatenate([piece, np.repeat(piece[-1:], missing, axis=0)]) if missing else piece
        raw = self.session.run(self._feeds(filled))
        return {name: self._checked(name, raw[graph], len(filled))[:count]
                for name, graph in self.interface.outputs.items()}

    def _checked(self, name: str, array: Array, count: int) -> Array:
        shape = self._task.output(name).shape  # type: ignore[union-attr]  # resolve_io only maps known outputs
        if array.ndim != len([dim for dim in shape.strip("()").split(",") if dim]):
            raise ModelFileError(f"{self.path}: output {self.interface.outputs[name]!r} has shape "
                                 f"{shape_text(array.shape)}, but {self._task.name} {name} is {shape}; "
                                 f"map another output in `outputs`")
        if len(array) != count:
            raise ModelFileError(f"{self.path}: output {self.interface.outputs[name]!r} has {len(array)} rows for a "
                                 f"batch of {count}; its first dimension must be the batch")
        return array.astype(np.float32, copy=False) if np.issubdtype(array.dtype, np.floating) else array


def first_nonfinite(array: Array) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity in C order, or None."""
    if not np.issubdtype(array.dtype, np.floating) or np.isfinite(array).all():
        return None
    flat = int(np.argmin(np.isfinite(array)))
    return tuple(int(index) for index in np.unravel_index(flat, array.shape))
