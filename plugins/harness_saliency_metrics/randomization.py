"""How much a map changes with the weights of the network, where it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from harness.api import Curve, ModelHandle, Samples, Summary, Table, TaskMismatch, stable_seed
from harness_saliency_metrics.faithfulness_params import ParameterRandomizationParams
from harness_saliency_metrics.maps import normalized
from harness_saliency_metrics.probabilities import explain_of, explained, seeds_of
from harness_saliency_metrics.summaries import INVALID, mean, mean_curve

if TYPE_CHECKING:
    import onnx

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class ParameterRandomization:
    """Rank correlation of a map with those of networks whose layers are randomized from the top (Adebayo 2018).

    The mean of |Spearman's rho| over the depths; lower is better: an explanation of the network changes with it. The
    curve shows rho itself. A map that is constant or not finite after randomization has nothing in common with the
    first: 0. An invalid map scores 1. Rows: value, rho (K), depth (K) the share of the layers, invalid.
    """

    def __init__(self, params: ParameterRandomizationParams) -> None:
        self.params = params

    def measure(self, samples: Samples) -> Table:
        given = explained(samples)
        invalid = np.array([normalized(raw, "none") is None for raw in given.maps], np.bool_)
        ranks = [None if bad else _ranks(raw) for raw, bad in zip(given.maps, invalid, strict=True)]
        columns, shares = [], []
        for share, weights in self._randomized(samples):
            with _model(samples).with_weights(weights) as other:
                maps = explain_of(samples)(given.inputs, given.classes, seeds_of(samples), other)
            columns.append([np.nan if first is None else _rho(first, second)
                            for first, second in zip(ranks, maps, strict=True)])
            shares.append(share)
        rho = np.array(columns, np.float64).T
        return Table({"value": np.where(invalid, 1.0, np.abs(rho).mean(axis=1)), "rho": rho,
                      "depth": np.tile(shares, (len(rho), 1)), INVALID: invalid})

    def summarize(self, rows: Table) -> Summary:
        value = mean(rows, higher_is_better=False, convention=self.params.convention_text, unit="correlation")
        y = mean_curve(rows, "rho")
        curve = Curve(x=rows.dense("depth")[0].tolist() if len(y) else [], y=y.tolist(),
                      x_label="share of layers randomized, from the top", y_label="Spearman's rho")
        return Summary({"": value}, {"": curve} if len(y) else {})

    def _randomized(self, samples: Samples) -> list[tuple[float, dict[str, NDArray[Any]]]]:
        """For each depth the share of the layers, and the values of all of their weights."""
        model = _model(samples)
        found = weight_layers(model.graph)
        if not found:
            raise TaskMismatch(f"{model.path}: parameter-randomization finds no weights: none of {', '.join(_LAYERS)} "
                               "has floating point initializers; leave the metric out for this model")
        depths = np.unique(np.linspace(1, len(found), self.params.layers).round().astype(int))
        drawn: dict[str, NDArray[Any]] = {}
        result, done = [], 0
        for depth in depths:
            for layer in found[done:depth]:
                drawn.update({name: self._draw(samples, name, values) for name, values in layer.items()})
            done = depth
            result.append((float(depth / len(found)), dict(drawn)))
        return result

    def _draw(self, samples: Samples, name: str, values: NDArray[Any]) -> NDArray[Any]:
        rng = np.random.default_rng(stable_seed(samples.seed, "parameter-randomization", name))
        if self.params.values == "permuted":
            return np.asarray(rng.permutation(values.reshape(-1)).reshape(values.shape))
        return np.asarray(rng.normal(values.mean(), values.std(), values.shape), values.dtype)


def weight_layers(model: onnx.ModelProto) -> list[dict[str, NDArray[Any]]]:
    """Floating point initializers, weights and bias, of each convolution and linear layer; the top layer first."""
    from onnx import numpy_helper

    arrays = {each.name: each for each in model.graph.initializer}
    layers: list[dict[str, NDArray[Any]]] = []
    taken: set[str] = set()
    for node in reversed(model.graph.node):
        names = [name for name in node.input if name in arrays and name not in taken]
        if node.op_type in _LAYERS and names:
            values = {name: numpy_helper.to_array(arrays[name]) for name in names}
            layers.append({name: value for name, value in values.items() if value.dtype.kind == "f"})
            taken.update(names)
    return [layer for layer in layers if layer]


def _model(samples: Samples) -> ModelHandle:
    if samples.model is None:
        raise ValueError("samples without model")
    return samples.model


def _ranks(saliency: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ranks, equal values sharing the mean of theirs, centered."""
    ranks = rankdata(saliency, axis=None)
    return np.asarray(ranks - ranks.mean(), np.float64)


def _rho(first: NDArray[np.float64], second: NDArray[np.float32]) -> float:
    if normalized(second, "none") is None:
        return 0.0
    other = _ranks(second)
    return float(first @ other / np.sqrt((first @ first) * (other @ other)))
