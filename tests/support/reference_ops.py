"""onnx's reference evaluator in float64, with what is wrong in it replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from reference_pools import POOLS
from scipy.special import erf

Array = NDArray[Any]


class ConvTranspose(OpRun):
    """By torch: onnx's own evaluator fails on groups."""

    op_domain = ""

    def _run(self, x: Array, w: Array, b: Array | None = None, **attributes: Any) -> tuple[Array]:
        import torch

        rank = x.ndim - 2
        get = {name: value for name, value in attributes.items() if value is not None}
        strides, dilations = get.get("strides", [1] * rank), get.get("dilations", [1] * rank)
        pads, group = get.get("pads", [0] * 2 * rank), get.get("group", 1)
        extra = get.get("output_padding", [0] * rank)
        assert get.get("auto_pad", "NOTSET") == "NOTSET"
        assert "output_shape" not in get
        function = (torch.nn.functional.conv_transpose1d, torch.nn.functional.conv_transpose2d,
                    torch.nn.functional.conv_transpose3d)[rank - 1]
        tensors = [torch.from_numpy(np.array(each)) for each in (x, w, *([] if b is None else [b]))]
        full = function(*tensors, stride=strides, dilation=dilations, groups=group).numpy()
        full = np.pad(full, [(0, 0), (0, 0), *((0, more) for more in extra)])
        if b is not None and any(extra):
            raise NotImplementedError("output_padding beside a bias")
        for axis, (begin, end) in enumerate(zip(pads[:rank], pads[rank:], strict=True), 2):
            full = np.take(full, range(begin, full.shape[axis] - end), axis)
        return (full,)


class LpNormalization(OpRun):
    """onnx's own evaluator adds up signed values for p = 1."""

    op_domain = ""

    def _run(self, x: Array, axis: int = -1, p: int = 2) -> tuple[Array]:
        return (x / np.linalg.norm(x, p, axis=axis, keepdims=True),)


class LRN(OpRun):
    """onnx's own evaluator counts samples where it should count channels."""

    op_domain = ""

    def _run(self, x: Array, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 1) -> tuple[Array]:
        channels = x.shape[1]
        windows = [slice(max(0, c - (size - 1) // 2), min(channels - 1, c + size // 2) + 1) for c in range(channels)]
        sums = np.stack([np.square(x[:, window]).sum(axis=1) for window in windows], axis=1)
        return (x / (bias + alpha / size * sums) ** beta,)


class Erf(OpRun):
    """onnx's own evaluator computes it in float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (erf(x),)


class Gelu(OpRun):
    """By its formulas: onnx's own evaluator computes the exact one in float32."""

    op_domain = ""

    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        if approximate == "tanh":
            return (x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),)
        return (x / 2 * (1 + erf(x / np.sqrt(2))),)


class Mean(OpRun):
    """onnx's own evaluator adds to the first input in place."""

    op_domain = ""

    def _run(self, *inputs: Array) -> tuple[Array]:
        return (np.asarray(sum(inputs) / len(inputs)),)


class ScatterElements(OpRun):
    """onnx's own evaluator loops in Python."""

    op_domain = ""

    def _run(self, data: Array, indices: Array, updates: Array, axis: int | None = None,
             reduction: str | None = None) -> tuple[Array]:
        result, places = data.copy(), list(np.indices(indices.shape))
        places[axis or 0] = indices
        if reduction == "add":
            np.add.at(result, tuple(places), updates)
        else:
            result[tuple(places)] = updates
        return (result,)


REPLACED = [*POOLS, ConvTranspose, Erf, Gelu, LRN, LpNormalization, Mean, ScatterElements]


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
    """onnx's reference evaluator, with what is wrong in it replaced."""
    return list(ReferenceEvaluator(model, new_ops=REPLACED).run(outputs, dict(feeds)))


def run_float32(model: onnx.ModelProto, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
    """By onnxruntime, with float64 values fed as float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    narrow = {name: np.asarray(value, np.float32 if value.dtype == np.float64 else value.dtype)
              for name, value in feeds.items()}
    return list(session.run(outputs, narrow))
