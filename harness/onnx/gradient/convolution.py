"""Rules of convolutions, by their input; weights are constants of an inference graph.

With stride 1 the gradient is a convolution with the flipped, transposed kernels, which runtimes compute faster than a
ConvTranspose; with a larger stride it is a ConvTranspose. Kernels are turned by nodes, which runtimes fold when they
load the graph, so that the file holds every weight once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.rules import rule
from harness.onnx.gradient.windows import Windows, scattered, spatial_sizes, windows


@dataclass(frozen=True)
class Kernel:
    """Weights (M, C / group, k...) of a convolution from C to M channels."""

    name: str
    shape: tuple[int, ...]
    group: int

    @property
    def size(self) -> tuple[int, ...]:
        return self.shape[2:]


@rule("Conv")
def conv(ctx: Context) -> Sequence[str | None]:
    kernel = _kernel(ctx)
    geometry = windows(ctx, kernel.size)
    if all(stride == 1 for stride in geometry.strides):
        return [_flipped(ctx, kernel, geometry)]
    return [scattered(ctx, ctx.dy, kernel.name, geometry, kernel.group)]


@rule("ConvTranspose")
def conv_transpose(ctx: Context) -> Sequence[str | None]:
    """A convolution with the same weights: they are (C, M / group, k...), those of a convolution from M to C."""
    kernel = _kernel(ctx)
    rank = len(kernel.size)
    strides, dilations = (ctx.attribute(name, [1] * rank) for name in ("strides", "dilations"))
    begins, ends = _transpose_pads(ctx, kernel, strides, dilations)
    dy = _cropped(ctx, ctx.dy, [0] * rank, [max(0, -end) // s * s for end, s in zip(ends, strides, strict=True)])
    pads = [*begins, *(max(0, end) for end in ends)]
    return [ctx.op("Conv", dy, kernel.name, kernel_shape=kernel.size, pads=pads, group=kernel.group,
                   dilations=dilations, strides=strides)]


def _kernel(ctx: Context) -> Kernel:
    weights = ctx.node.input[1]
    if ctx.needs(1) or ctx.needs(2):
        raise ctx.error("its weights are computed from what is differentiated; only constant weights are covered")
    shape = ctx.sizes(weights)
    if shape is None:
        raise ctx.error(f"the shape of the weights {weights!r} can not be inferred")
    return Kernel(weights, shape, ctx.attribute("group", 1))


def _turned(ctx: Context, kernel: Kernel) -> str:
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
        back = ctx.ints(*[-1] * len(axes))
        name = ctx.op("Slice", name, back, ctx.ints(*[-(2**31)] * len(axes)), ctx.ints(*axes), back)
    return name


def _flipped(ctx: Context, kernel: Kernel, geometry: Windows) -> str:
    """A full correlation less the padding: pads d (k - 1) - p; what would be negative is cut off before."""
    begins = [r - p for r, p in zip(geometry.reach, geometry.begins, strict=True)]
    ends = [r - p for r, p in zip(geometry.reach, geometry.ends, strict=True)]
    dy = _cropped(ctx, ctx.dy, [max(0, -p) for p in begins], [max(0, -p) for p in ends])
    pads = [max(0, p) for p in (*begins, *ends)]
    return ctx.op("Conv", dy, _turned(ctx, kernel), kernel_shape=kernel.size, pads=pads, group=kernel.group,
                  dilations=geometry.dilations, strides=geometry.strides)


def _cropped(ctx: Context, value: str, begins: Sequence[int], ends: Sequence[int]) -> str:
    """Without that many positions at both ends of each spatial axis."""
    axes = [axis for axis, cut in enumerate(zip(begins, ends, strict=True)) if any(cut)]
    if not axes:
        return value
    return ctx.op("Slice", value, ctx.ints(*(begins[axis] for axis in axes)),
                  ctx.ints(*(-ends[axis] or 2**62 for axis in axes)), ctx.ints(*(axis + 2 for axis in axes)))


def _transpose_pads(ctx: Context, kernel: Kernel, strides: Sequence[int],
                    dilations: Sequence[int]) -> tuple[list[int], list[int]]:
    """What a ConvTranspose cuts off at both ends; output_padding counts as negative at the end."""
    rank = len(kernel.size)
    more = ctx.attribute("output_padding", [0] * rank)
    auto, wanted = ctx.attribute("auto_pad", "NOTSET"), ctx.attribute("output_shape")
    if wanted is None and not auto.startswith("SAME"):
        pads = ctx.attribute("pads", [0] * 2 * rank) if auto == "NOTSET" else [0] * 2 * rank
        return list(pads[:rank]), [end - extra for end, extra in zip(pads[rank:], more, strict=True)]
    sizes = spatial_sizes(ctx, ctx.x)
    if wanted is not None and sizes is None:
        raise ctx.error(f"output_shape needs known sizes of {ctx.x!r}; give the graph's input a fixed size")
    begins, ends = [], []
    for axis, (k, s, d, extra) in enumerate(zip(kernel.size, strides, dilations, more, strict=True)):
        surplus = d * (k - 1) + 1 - s + extra
        if wanted is not None and sizes is not None:
            surplus += s * sizes[axis] - wanted[-rank:][axis]
        total = max(0, surplus)
        small, large = total // 2, total - total // 2
        begins.append(small if auto == "SAME_UPPER" else large)
        ends.append((large if auto == "SAME_UPPER" else small) - extra - (total - surplus))
    return begins, ends
