"""Contracts of explanations: what explains, and the model as what explains sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from harness.card import ModelCard
    from harness.geometry import Fit
    from harness.onnx.gradient import Rules


class SaliencyGenerator(Protocol):
    """Explains on the host: any algorithm that only needs to run the model."""

    def explain(self, model: ModelHandle, inputs: NDArray[np.float32], classes: NDArray[np.int64],
                seeds: Sequence[int]) -> NDArray[np.float32]:
        """(N, H, W) float32 raw maps at the model's input size, deterministic by seed."""


class GraphGenerator(Protocol):
    """Explains inside of a graph, which then runs wherever onnxruntime runs."""

    def build(self, graph: onnx.ModelProto, card: ModelCard, rules: Rules) -> onnx.ModelProto:
        """An explainer of one model.

        graph: the image input as the model has it, one output `scores` (N, K) float32 (harness.onnx.scores), opset 18
        or newer; it must not be changed. card: input geometry, and `cam_layer` as the suite overrides it (where it is
        None, harness.onnx.layers has a rule). rules: how gradients pass operators, those of plugins among them.
        Returns a model with the same image input, `class` (N,) int64, further inputs that `feeds` gives, and the
        output `saliency` (N, H, W) float32 at the model's input size. Raises ModelFileError.
        """

    def feeds(self, inputs: NDArray[np.float32], seeds: Sequence[int]) -> Mapping[str, NDArray[Any]]:
        """Further inputs, e.g. noise, deterministic by seed; each has one row per sample, or is a scalar."""

    # Either kind may have `fingerprint() -> str`, which changes when files that it reads change.


class StoredMaps(Protocol):
    """Maps that were made elsewhere, found by the ids of the samples."""

    def maps(self, ids: Sequence[str], fits: Sequence[Fit]) -> NDArray[np.float32]:
        """(N, H, W) float32 raw maps at the model's input size; fits: how each photograph was placed there.

        Raises DataError for a sample without a usable map.
        """

    def fingerprint(self) -> str:
        """Changes when files that it reads change. Part of the cache key."""


class Explain(Protocol):
    """The cell's generator as metrics use it: what it would have said of other inputs, or of another model."""

    def __call__(self, inputs: NDArray[np.float32], classes: NDArray[np.int64], seeds: Sequence[int],
                 model: ModelHandle | None = None) -> NDArray[np.float32]:
        """(N, ...) float32 inputs -> (N, H, W) float32 raw maps; model: by default the one of the cell."""


class ModelHandle(Protocol):
    """A model as saliency generators and faithfulness metrics see it; forward passes are counted.

    card, path: of the model; graph: what is run, with the one output `scores` (N, K) (harness.onnx.scores); layer: the
    tensor that class activation methods explain, (N, C, h, w), found when it is first asked for.
    """

    card: ModelCard
    path: Path

    @property
    def graph(self) -> onnx.ModelProto: ...

    @property
    def layer(self) -> str:
        """Raises ModelFileError when the card names none and none is found."""

    @property
    def batch(self) -> int:
        """How many samples to run at a time: what the backend does well and its memory holds."""

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, ...) float32 inputs -> (N, K) scores; of a classifier, its logits."""

    def probabilities(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """(N, K) scores of a classifier -> probabilities; scores of other tasks stay as they are.

        The softmax over the classes; the sigmoid of each where the original graph ends with one, or has a single score.
        """

    def activations(self, inputs: NDArray[np.float32], layer: str | None = None) -> NDArray[np.float32]:
        """(N, ...) float32 inputs -> (N, C, h, w) of a tensor of the graph, by default of `layer`."""

    def run(self, graph: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """All outputs of a graph derived from `graph`, on the same backend, opened once per graph object.

        feeds: one row per sample, or scalars. Where the model has a fixed batch size, it is run in pieces of it. A
        graph that does not take the image (harness.onnx.split) is no forward pass and not counted as one.
        """

    def with_weights(self, weights: Mapping[str, NDArray[Any]]) -> AbstractContextManager[ModelHandle]:
        """The same model with other values of some initializers of `graph`, until the context ends."""
