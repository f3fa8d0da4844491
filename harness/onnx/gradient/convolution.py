"""Rules of convolutions, by their input; weights are constants of an inference graph.

With stride 1 the gradient is a convolution with the flipped, transposed kernels, which runtimes compute faster than a
ConvTranspose; with a larger stride it is a ConvTranspose. Kernels are turned by nodes, which runtimes fold when they
load the graph, so that the file holds every weight once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule
from harness.onnx.gradient.windows import Windows, windows


@rule("Conv")
def conv(ctx: Context) -> Sequence[str | None]:
    weights = ctx.node.input[1]
    if ctx.needs(1):
        raise ctx.error("its weights are computed from what is differentiated; only constant weights are covered")
    if not ctx.needs(0):
        return []
    shape = ctx.sizes(weights)
    if shape is None:
        raise ctx.error(f"the shape of the weights {weights!r} can not be inferred")
    kernel = Kernel(weights, shape, ctx.attribute("group", 1))
    geometry = windows(ctx, kernel.size)
    if all(stride == 1 for stride in geometry.strides):
        return [_flipped(ctx, kernel, geometry)]
    return [_transposed(ctx, kernel, geometry)]


@dataclass(frozen=True)
class Kernel:
    """Weights (M, C / group, k...) of a convolution from C to M channels."""

    name: str
    shape: tuple[int, ...]
    group: int

    @property
    def size(self) -> tuple[int, ...]:
        return self.shape[2:]


def turned(ctx: Context, kernel: Kernel) -> str:
    """Weights (C, M / group, k...) of the convolution back: input and output exchanged, reversed along space."""
    rank, group = len(kernel.size), kernel.group
    name, (many, few) = kernel.name, kernel.shape[:2]
    space = list(range(2, rank + 2))
    if group > 1:
        name = ctx.op("Reshape", name, ctx.ints(group, many // group, few, *kernel.size))
        name = ctx.op("Transpose", name, perm=[0, 2, 1, *(axis + 1 for axis in space)])
        name = ctx.op("Reshape", name, ctx.ints(group * few, many // group, *kernel.size))
    else:
        name = ctx.op("Transpose", name, perm=[1, 0, *space])
    axes = [axis for axis, size in zip(space, kernel.size, strict=True) if size > 1]
    if axes:
        count = len(axes)
        name = ctx.op("Slice", name, ctx.ints(*[-1] * count), ctx.ints(*[-(2**31)] * count), ctx.ints(*axes),
                      ctx.ints(*[-1] * count))
    return name


def _flipped(ctx: Context, kernel: Kernel, geometry: Windows) -> str:
    """A full correlation less the padding: pads d (k - 1) - p; what would be negative is cut off before."""
    reach = [d * (k - 1) for d, k in zip(geometry.dilations, kernel.size, strict=True)]
    begins = [r - p for r, p in zip(reach, geometry.begins, strict=True)]
    ends = [r - p for r, p in zip(reach, geometry.ends, strict=True)]
    dy = _cropped(ctx, ctx.dy, [max(0, -p) for p in begins], [max(0, -p) for p in ends])
    pads = [max(0, p) for p in (*begins, *ends)]
    return ctx.op("Conv", dy, turned(ctx, kernel), kernel_shape=kernel.size, pads=pads, group=kernel.group,
                  dilations=geometry.dilations, strides=[1] * len(reach))


def _cropped(ctx: Context, value: str, begins: Sequence[int], ends: Sequence[int]) -> str:
    axes = [axis for axis, cut in enumerate(zip(begins, ends, strict=True)) if any(cut)]
    if not axes:
        return value
    return ctx.op("Slice", value, ctx.ints(*(begins[axis] for axis in axes)),
                  ctx.ints(*(-ends[axis] or 2**62 for axis in axes)), ctx.ints(*(axis + 2 for axis in axes)))


def _transposed(ctx: Context, kernel: Kernel, geometry: Windows) -> str:
    """ConvTranspose to the size of x: where the last stride did not reach the end of x, zeros or less are added."""
    sizes = ctx.sizes(ctx.x)
    spatial = sizes[2:] if sizes else None
    shape = ctx.shape(ctx.x)
    if spatial is None and shape is not None and all(isinstance(dim, int) for dim in shape[2:]):
        spatial = tuple(dim for dim in shape[2:] if isinstance(dim, int))
    common: dict[str, Any] = {"kernel_shape": kernel.size, "group": kernel.group, "strides": geometry.strides,
              "dilations": geometry.dilations}
    if spatial is not None:
        left = [geometry.rest(axis, size) - geometry.ends[axis] for axis, size in enumerate(spatial)]
        return ctx.op("ConvTranspose", ctx.dy, kernel.name, **common,
                      pads=[*geometry.begins, *(max(0, -more) for more in left)],
                      output_padding=[max(0, more) for more in left])
    longer = ctx.op("ConvTranspose", ctx.dy, kernel.name, **common, pads=[*geometry.begins, *[0] * len(kernel.size)],
                    output_padding=[stride - 1 for stride in geometry.strides])
    axes = range(2, 2 + len(kernel.size))
    ends = ctx.op("Shape", ctx.x, start=2)
    return ctx.op("Slice", longer, ctx.ints(*[0] * len(axes)), ends, ctx.ints(*axes))
