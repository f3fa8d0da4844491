"""Sliding windows of convolution and pooling: attributes with their defaults, auto_pad resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.onnx.gradient.context import Context


@dataclass(frozen=True)
class Windows:
    """One number per spatial axis; begins and ends: padding before and after."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def rest(self, axis: int, size: int) -> int:
        """How many padded positions behind the last window of an axis of `size` belong to none."""
        extent = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return (size + self.begins[axis] + self.ends[axis] - extent) % self.strides[axis]

    @property
    def extents(self) -> tuple[int, ...]:
        """Positions from the first to the last of a window."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True))


def windows(ctx: Context, kernel: Sequence[int]) -> Windows:
    """From the attributes of the node. Raises GradientError when auto_pad needs a size that is unknown."""
    rank = len(kernel)
    strides = tuple(ctx.attribute("strides", [1] * rank))
    dilations = tuple(ctx.attribute("dilations", [1] * rank))
    auto = ctx.attribute("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = [_same(ctx, axis, kernel[axis], strides[axis], dilations[axis], auto) for axis in range(rank)]
        begins, ends = tuple(p[0] for p in pads), tuple(p[1] for p in pads)
    else:
        given = ctx.attribute("pads", [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
        begins, ends = tuple(given[:rank]), tuple(given[rank:])
    return Windows(tuple(kernel), strides, dilations, begins, ends)


def _same(ctx: Context, axis: int, kernel: int, stride: int, dilation: int, auto: str) -> tuple[int, int]:
    """Padding such that the output has ceil(size / stride) positions."""
    extent = dilation * (kernel - 1) + 1
    if stride == 1:
        total = extent - 1
    else:
        shape = ctx.shape(ctx.x)
        size = shape[axis + 2] if shape else None
        if not isinstance(size, int):
            raise ctx.error(f"auto_pad = {auto} with stride {stride} needs a known size of axis {axis + 2} of {ctx.x!r}"
                            "; give the graph's input a fixed size")
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    small, large = total // 2, total - total // 2
    return (small, large) if auto == "SAME_UPPER" else (large, small)
