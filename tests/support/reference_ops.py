"""onnx's reference evaluator in float64, with what is wrong in it replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
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


def windows(x: Array, fill: float, kernel_shape: Sequence[int], strides: Sequence[int] | None,
            pads: Sequence[int] | None, dilations: Sequence[int] | None, ceil_mode: int | None,
            auto_pad: str | None) -> Array:
    """(N, C, windows..., positions of a window...), `fill` outside of x; with ceil_mode the last window starts inside
    of x or its left padding."""
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    reach = [d * (k - 1) for d, k in zip(dilations, kernel_shape, strict=True)]
    sizes = x.shape[2:]
    pads = pads or [0] * 2 * rank
    if auto_pad and auto_pad.startswith("SAME"):
        totals = [max(0, (-(-size // s) - 1) * s + r + 1 - size)
                  for size, s, r in zip(sizes, strides, reach, strict=True)]
        halves = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = [*halves[0], *halves[1]] if auto_pad == "SAME_UPPER" else [*halves[1], *halves[0]]
    counts, more = [], []
    for size, s, r, begin, end in zip(sizes, strides, reach, pads[:rank], pads[rank:], strict=True):
        room = size + begin + end - r - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        count -= (count - 1) * s >= size + begin
        counts.append(count)
        more.append(max(0, (count - 1) * s + r + 1 - size - begin))
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], more, strict=True)], constant_values=fill)
    axes = tuple(range(2, 2 + rank))
    view = np.lib.stride_tricks.sliding_window_view(padded, [r + 1 for r in reach], axes)
    starts = tuple(slice(0, (c - 1) * s + 1, s) for c, s in zip(counts, strides, strict=True))
    return view[(slice(None), slice(None), *starts, *(slice(None, None, d) for d in dilations))]


class MaxPool(OpRun):
    """onnx's own evaluator has wrong indices."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None,
             dilations: Any = None, kernel_shape: Any = None, pads: Any = None, storage_order: int | None = None,
             strides: Any = None) -> tuple[Array, ...]:
        options = (kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        rank = x.ndim - 2
        parts = windows(x, -np.inf, *options)
        flat = parts.reshape(*parts.shape[:rank + 2], -1)
        places = np.broadcast_to(np.arange(x.size, dtype=np.float64).reshape(x.shape), x.shape)
        where = windows(places, -1, *options).reshape(flat.shape)
        first = flat.argmax(-1)[..., None]
        y = np.take_along_axis(flat, first, -1)[..., 0]
        return (y, np.take_along_axis(where, first, -1)[..., 0].astype(np.int64))[:len(self.output)]


class AveragePool(OpRun):
    """onnx's own evaluator fails on ceil_mode, uneven padding and dilations."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None,
             count_include_pad: int | None = None, dilations: Any = None, kernel_shape: Any = None, pads: Any = None,
             strides: Any = None) -> tuple[Array]:
        options = (kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        rank = x.ndim - 2
        axes = tuple(range(rank + 2, 2 * rank + 2))
        inside = np.ones(x.shape)
        if count_include_pad and pads:
            widths = [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
            options = (kernel_shape, strides, None, dilations, ceil_mode, None)
            x, inside = np.pad(x, widths), np.pad(inside, widths, constant_values=1)
        return (windows(x, 0, *options).sum(axes) / windows(inside, 0, *options).sum(axes),)


class LpPool(OpRun):
    """onnx's own evaluator fails on uneven padding."""

    op_domain = ""

    def _run(self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None, dilations: Any = None,
             kernel_shape: Any = None, p: int | None = None, pads: Any = None, strides: Any = None) -> tuple[Array]:
        rank, power = x.ndim - 2, p or 2
        parts = windows(np.abs(x) ** power, 0, kernel_shape, strides, pads, dilations, ceil_mode, auto_pad)
        return (parts.sum(tuple(range(rank + 2, 2 * rank + 2))) ** (1 / power),)


class GlobalLpPool(OpRun):
    """onnx's own evaluator has none."""

    op_domain = ""

    def _run(self, x: Array, p: int | None = None) -> tuple[Array]:
        power = p or 2
        return ((np.abs(x) ** power).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / power),)


class GlobalMaxPool(OpRun):
    """onnx's own evaluator fails on one spatial axis."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(tuple(range(2, x.ndim)), keepdims=True),)


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


REPLACED = [AveragePool, ConvTranspose, Erf, Gelu, GlobalLpPool, GlobalMaxPool, LpNormalization, LpPool, LRN, MaxPool,
            Mean, ScatterElements]


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
    """onnx's reference evaluator, with what is wrong in it replaced."""
    return list(ReferenceEvaluator(model, new_ops=REPLACED).run(outputs, dict(feeds)))
