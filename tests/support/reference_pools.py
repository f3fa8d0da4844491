"""Pooling in float64 by its definition: onnx's own reference evaluator is wrong in many cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

Array = NDArray[Any]


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


POOLS = [AveragePool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool]
