"""Which layers must stay in float: measured, not guessed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

    from harness.onnx.precision.int8 import Feeds, Quantizer


@dataclass(frozen=True, slots=True)
class Step:
    """One trial: the layers in float and the loss that was measured with them."""

    float_layers: tuple[str, ...]
    loss: float


@dataclass(frozen=True, slots=True)
class Found:
    """steps: all trials, in order; the last one is what `model` is. within: whether its loss is at most the limit."""

    model: onnx.ModelProto
    steps: tuple[Step, ...]
    within: bool


def search(make: Callable[[Collection[str]], onnx.ModelProto], loss: Callable[[onnx.ModelProto], float], limit: float,
           order: Callable[[], Sequence[str]]) -> Found:
    """Leave the most sensitive layers in float, one after the other, until the loss is at most `limit`.

    make: the quantized graph with these layers in float; loss: what it loses, lower is better; order: the layers, most
    sensitive first, asked for only when all of them in int8 lose too much. With half of the layers in float it ends:
    what then still loses too much is no matter of a few layers.
    """
    chosen: tuple[str, ...] = ()
    model = make(chosen)
    steps = [Step(chosen, loss(model))]
    if steps[-1].loss > limit:
        layers = order()
        for count in range(1, max(1, len(layers) // 2) + 1):
            chosen = tuple(layers[:count])
            model = make(chosen)
            steps.append(Step(chosen, loss(model)))
            if steps[-1].loss <= limit:
                break
    return Found(model, tuple(steps), steps[-1].loss <= limit)


def sensitivity(quantizer: Quantizer, tensors: Sequence[str], feeds: Sequence[Feeds]) -> dict[str, float]:
    """Layer -> relative squared error of `tensors` when it alone is computed in int8; most sensitive first.

    tensors: float tensors of the graph, e.g. what its last layers give; feeds: a few samples.
    """
    body = quantizer.body
    expected = _tensors(quantizer.model, tensors, feeds)
    errors = {}
    for layer in body.weighted:
        model = quantizer.quantized([name for name in (*body.weighted, *body.carried) if name != layer])
        errors[layer] = float(np.mean([_relative(found, true) for found, true in
                                       zip(_tensors(model, tensors, feeds), expected, strict=True)]))
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _relative(found: NDArray[Any], true: NDArray[Any]) -> float:
    return float(np.square(found - true).sum() / max(np.square(true).sum(), 1e-12))


def _tensors(model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feeds]) -> list[NDArray[Any]]:
    """Values of inner tensors over all samples; a quantized tensor as its consumers see it."""
    import onnx

    from harness.onnx.session import open_session

    present = {name for node in model.graph.node for name in node.output}
    seen = [f"{name}_DequantizeLinear_Output" if f"{name}_DequantizeLinear_Output" in present else name
            for name in names]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in seen)
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "exposed.onnx"
        onnx.save(exposed, str(path))
        session = open_session(path)
        try:
            runs = [session.run(feed) for feed in feeds]
        finally:
            session.close()
    return [np.concatenate([run[name] for run in runs]) for name in seen]
