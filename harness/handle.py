"""A model as generators and faithfulness metrics see it: scores, activations, and graphs derived from its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from harness.card import ModelCard
from harness.contracts import InferenceSession
from harness.errors import CellError, ModelFileError, did_you_mean
from harness.onnx.interface import shape_text
from harness.onnx.layers import last_spatial_activation
from harness.onnx.providers import CPU
from harness.onnx.runner import first_nonfinite
from harness.onnx.scores import SCORES, scores_graph, with_output
from harness.opened import automatic_batch
from harness.saliency import ModelHandle

Array = NDArray[Any]
Floats = NDArray[np.float32]
OpenFile = Callable[[Path], InferenceSession]


class Handle:
    """A harness.saliency.ModelHandle. Sessions are opened when first used, and closed by `close`.

    open_file: opens an ONNX file on the cell's backend; count: told the samples of every run; final: the operator at
    the end of the original graph that `graph` leaves out, or "".
    """

    def __init__(self, card: ModelCard, path: Path, graph: onnx.ModelProto, open_file: OpenFile,
                 count: Callable[[int], None], final: str = "") -> None:
        self.card, self.path, self.graph, self._final = card, path, graph, final
        self._open_file, self._count = open_file, count
        self._stack = ExitStack()
        self._folder: Path | None = None
        # A graph is kept beside its session, so that its id stays its own.
        self._sessions: dict[int, tuple[onnx.ModelProto, InferenceSession]] = {}
        self._layers: dict[str, onnx.ModelProto] = {}

    @cached_property
    def layer(self) -> str:
        return self.card.cam_layer or last_spatial_activation(self.graph, SCORES)

    @cached_property
    def batch(self) -> int:
        return automatic_batch(self.card.input, "cpu" if self._session(self.graph).runs_on == CPU else "accelerator")

    def predict(self, inputs: Floats) -> Floats:
        """(N, ...) float32 inputs -> (N, K) scores. Raises CellError for NaN or infinite values."""
        scores = self.run(self.graph, {self._image.name: inputs})[SCORES]
        scores = scores.reshape(len(inputs), -1).astype(np.float32, copy=False)
        bad = first_nonfinite(scores)
        if bad is not None:
            raise CellError(f"{self.path}: the scores of sample #{bad[0]} of a batch are NaN or infinite")
        return scores

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """(N, K) scores of a classifier -> probabilities; scores of other tasks stay as they are."""
        scores = scores.astype(np.float64)
        if self.card.task != "classification":
            return scores
        if self._final == "Sigmoid" or scores.shape[1] == 1:
            return np.asarray(np.exp(-np.logaddexp(0, -scores)))
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def activations(self, inputs: Floats, layer: str | None = None) -> Floats:
        """(N, ...) float32 inputs -> (N, C, h, w). Raises ModelFileError when the tensor is none of the graph."""
        name = layer or self.layer
        if name not in self._layers:
            self._layers[name] = with_output(self.graph, name, "activations", self.path)
        found = self.run(self._layers[name], {self._image.name: inputs})["activations"]
        if found.ndim != 4:
            raise ModelFileError(f"{self.path}: layer {name!r} has shape {shape_text(found.shape)}, not (N, C, h, w)")
        return found.astype(np.float32, copy=False)

    def run(self, graph: onnx.ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs of a derived graph; in pieces where the model has a fixed batch size.

        Samples are counted where the graph takes the image.
        """
        session = self._session(graph)
        if self._image.name in feeds:
            self._count(len(feeds[self._image.name]))
        return run_fitted(session, feeds, self._batch)

    @contextmanager
    def with_weights(self, weights: Mapping[str, Array]) -> Iterator[ModelHandle]:
        """Raises ModelFileError for a name that is no initializer of the graph, or another shape."""
        graph = onnx.ModelProto()
        graph.CopyFrom(self.graph)
        known = {each.name: each for each in graph.graph.initializer}
        for name, value in weights.items():
            if name not in known:
                raise ModelFileError(f"{self.path}: no initializer is named {name!r}{did_you_mean(name, known)}")
            old = numpy_helper.to_array(known[name])
            if old.shape != value.shape:
                raise ModelFileError(f"{self.path}: initializer {name!r} has shape {shape_text(old.shape)}, not "
                                     f"{shape_text(value.shape)}")
            known[name].CopyFrom(numpy_helper.from_array(np.asarray(value, old.dtype), name))
        other = Handle(self.card, self.path, graph, self._open_file, self._count, self._final)
        try:
            yield other
        finally:
            other.close()

    def close(self) -> None:
        """Close the sessions and remove their files."""
        self._sessions.clear()
        self._stack.close()

    @property
    def _image(self) -> onnx.ValueInfoProto:
        image: onnx.ValueInfoProto = self.graph.graph.input[0]  # the only one
        return image

    @property
    def _batch(self) -> int | None:
        """The model's fixed batch size, or None."""
        dims = self._image.type.tensor_type.shape.dim
        return dims[0].dim_value if dims and dims[0].dim_value > 0 else None

    def _session(self, graph: onnx.ModelProto) -> InferenceSession:
        known = self._sessions.get(id(graph))
        if known is None:
            if self._folder is None:
                self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="harness-")))
            file = self._folder / f"{len(self._sessions)}-{self.path.name}"
            onnx.save_model(graph, file)
            session = self._open_file(file)
            self._stack.callback(session.close)
            known = self._sessions[id(graph)] = (graph, session)
        return known[1]


def open_handle(card: ModelCard, path: Path, open_file: OpenFile, count: Callable[[int], None]) -> tuple[Handle, str]:
    """The handle of a model file, and what was left out of its graph, for people, or "". Raises ModelFileError."""
    try:
        model = onnx.load(path)
    except Exception as error:
        raise ModelFileError(f"{path}: not an ONNX model: {error}") from error
    found = scores_graph(model, card, path)
    return Handle(card, path, found.model, open_file, count, found.final), found.note


def run_fitted(session: InferenceSession, feeds: Mapping[str, Array], fixed: int | None) -> dict[str, Array]:
    """All outputs for feeds of any number of samples, in the types that the session takes.

    fixed: the model's batch size, in pieces of which it is run, or None.
    """
    types = {info.name: info.dtype for info in session.inputs}
    fitted = {name: np.asarray(array).astype(types.get(name, array.dtype), copy=False) for name, array in feeds.items()}
    count = next(len(array) for array in fitted.values() if array.ndim)
    if fixed is None or fixed == count:
        return session.run(fitted)
    pieces = [session.run(_piece(fitted, start, fixed)) for start in range(0, count, fixed)]
    return {name: np.concatenate([piece[name] for piece in pieces])[:count] for name in pieces[0]}


def _piece(feeds: Mapping[str, Array], start: int, size: int) -> dict[str, Array]:
    """Rows of every feed but scalars, filled up with the last one."""
    return {name: array if array.ndim == 0 else array[np.minimum(np.arange(start, start + size), len(array) - 1)]
            for name, array in feeds.items()}
