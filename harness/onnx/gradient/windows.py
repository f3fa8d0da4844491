"""Sliding windows of convolution and pooling: their attributes, and back from windows to positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.onnx.gradient.context import Context


@dataclass(frozen=True)
class Windows:
    """One number per spatial axis; begins and ends: padding before and after; ceil: the last window may reach out."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    ceil: bool = False

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def reach(self) -> tuple[int, ...]:
        """From the first to the last position of a window."""
        return tuple(d * (k - 1) for d, k in zip(self.dilations, self.kernel, strict=True))

    def rest(self, axis: int, size: int) -> int:
        """How many padded positions behind the last window of an axis of `size` belong to none."""
        return (size + self.begins[axis] + self.ends[axis] - self.reach[axis] - 1) % self.strides[axis]


def windows(ctx: Context, kernel: Sequence[int]) -> Windows:
    """From the attributes of the node, auto_pad resolved. Raises GradientError when that needs a size not known."""
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
    return Windows(tuple(kernel), strides, dilations, begins, ends, bool(ctx.attribute("ceil_mode", 0)))


def spatial_sizes(ctx: Context, name: str) -> tuple[int, ...] | None:
    """Sizes behind batch and channels, when all of them are known."""
    shape = ctx.shape(name)
    if shape is None:
        return None
    sizes = tuple(dim for dim in shape[2:] if isinstance(dim, int))
    return sizes if len(sizes) == len(shape) - 2 else None


def scattered(ctx: Context, dy: str, weights: str, geometry: Windows, group: int = 1) -> str:
    """What a convolution with these weights did to x, transposed: (N, M, windows...) -> (N, C, sizes of x...).

    The strides may not have reached the end of x: where its size is known, less is cut off or zeros are added by
    attributes; otherwise as many zeros as may be missing are added and the surplus is sliced off.
    """
    sizes = spatial_sizes(ctx, ctx.x)
    common: dict[str, Any] = {"kernel_shape": geometry.kernel, "group": group, "strides": geometry.strides,
                              "dilations": geometry.dilations}
    if sizes is not None and not geometry.ceil:
        left = [geometry.rest(axis, size) - geometry.ends[axis] for axis, size in enumerate(sizes)]
        return ctx.op("ConvTranspose", dy, weights, **common,
                      pads=[*geometry.begins, *(max(0, -more) for more in left)],
                      output_padding=[max(0, more) for more in left])
    longer = ctx.op("ConvTranspose", dy, weights, **common, pads=[*geometry.begins, *[0] * geometry.rank],
                    output_padding=[stride - 1 for stride in geometry.strides])
    stop = ctx.ints(*sizes) if sizes else ctx.op("Shape", ctx.x, start=2)
    return ctx.op("Slice", longer, ctx.ints(*[0] * geometry.rank), stop, ctx.ints(*range(2, 2 + geometry.rank)))


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
