"""A tensor taken apart by the residues of its coordinates modulo the strides of a pooling, and put together again.

Window q has its i-th position at s q + d i - p = s (q + shift) + residue: in the part of that residue, the i-th
positions of all windows are the part itself, shifted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from harness.onnx.gradient.context import Context
from harness.onnx.gradient.windows import Windows

Residues = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One spatial axis. begin: padding before; windows: how many."""

    size: int
    kernel: int
    stride: int
    dilation: int
    begin: int
    windows: int

    @property
    def longest(self) -> int:
        """Length of the longest part."""
        return -(-self.size // self.stride)

    def length(self, residue: int) -> int:
        return -(-(self.size - residue) // self.stride)

    @property
    def positions(self) -> list[tuple[int, int]]:
        """(shift, residue) of each position of a window."""
        return [divmod(self.dilation * step - self.begin, self.stride) for step in range(self.kernel)]


class Phases:
    """The parts of the input of a pooling whose spatial sizes are known."""

    def __init__(self, ctx: Context, geometry: Windows, sizes: Sequence[int]) -> None:
        self.ctx = ctx
        each = zip(sizes, geometry.kernel, geometry.strides, geometry.dilations, geometry.begins, geometry.ends,
                   geometry.reach, strict=True)
        self.space = [Axis(size, k, s, d, begin, (size + begin + end - reach - 1) // s + 1)
                      for size, k, s, d, begin, end, reach in each]
        self.axes = ctx.ints(*range(2, 2 + len(self.space)))
        self._parts: dict[Residues, str] = {}

    @cached_property
    def positions(self) -> list[tuple[Residues, tuple[int, ...]]]:
        """(residues, shifts) of the positions of a window, in raster order."""
        points = product(*(axis.positions for axis in self.space))
        return [(tuple(residue for _, residue in point), tuple(shift for shift, _ in point)) for point in points]

    @property
    def complete(self) -> bool:
        """Whether windows reach every residue."""
        return len({residues for residues, _ in self.positions}) == math.prod(axis.stride for axis in self.space)

    def seen(self, residues: Residues, shifts: Sequence[int]) -> str:
        """(N, C, windows...) what each window has at a position; minus infinity outside of x."""
        ends = [axis.windows + shift - axis.length(residue)
                for axis, residue, shift in zip(self.space, residues, shifts, strict=True)]
        return self._fitted(self._part(residues), [-shift for shift in shifts], ends, -math.inf)

    def placed(self, value: str, shifts: Sequence[int]) -> str:
        """(N, C, windows...) back to where `seen` took it from, zeros elsewhere; all parts get the same shape."""
        ends = [axis.longest - axis.windows - shift for axis, shift in zip(self.space, shifts, strict=True)]
        return self._fitted(value, shifts, ends, 0)

    def merged(self, parts: Mapping[Residues, str]) -> str:
        """The tensor of x's shape that has these parts."""
        ctx, space = self.ctx, self.space
        for index in reversed(range(len(space))):
            lengths = [axis.longest for axis in space[:index]] + [axis.longest * axis.stride for axis in space[index:]]
            heads = {residues[:index] for residues in parts}
            parts = {head: self._interleaved([parts[(*head, residue)] for residue in range(space[index].stride)],
                                             index + 3, lengths) for head in heads}
        if any(axis.size % axis.stride for axis in space):
            sizes = ctx.ints(*(axis.size for axis in space))
            return ctx.op("Slice", parts[()], ctx.ints(*[0] * len(space)), sizes, self.axes)
        return parts[()]

    def _interleaved(self, parts: Sequence[str], axis: int, lengths: Sequence[int]) -> str:
        if len(parts) == 1:
            return parts[0]
        columns = [self.ctx.op("Unsqueeze", part, self.ctx.ints(axis)) for part in parts]
        return self.ctx.op("Reshape", self.ctx.op("Concat", *columns, axis=axis), self.ctx.ints(0, 0, *lengths))

    def _part(self, residues: Residues) -> str:
        ctx, strides = self.ctx, [axis.stride for axis in self.space]
        if not self._parts and self._tiled:
            together = ctx.op("SpaceToDepth", ctx.x, blocksize=strides[0])
            count = strides[0] ** 2
            parts = ctx.ops("Split", [together], count, axis=1, num_outputs=count)
            self._parts.update(zip(product(*map(range, strides)), parts, strict=True))
        if residues not in self._parts:
            stops = ctx.ints(*(axis.size for axis in self.space))
            self._parts[residues] = ctx.x if set(strides) == {1} else ctx.op(
                "Slice", ctx.x, ctx.ints(*residues), stops, self.axes, ctx.ints(*strides))
        return self._parts[residues]

    @property
    def _tiled(self) -> bool:
        """Whether one SpaceToDepth makes all parts, which is faster."""
        strides = {axis.stride for axis in self.space}
        return len(self.space) == 2 and len(strides) == 1 and strides != {1} and all(
            axis.size % axis.stride == 0 for axis in self.space)

    def _fitted(self, value: str, begins: Sequence[int], ends: Sequence[int], fill: float) -> str:
        """With so many positions more at both ends of each axis, or less where negative."""
        ctx = self.ctx
        if any(more < 0 for more in (*begins, *ends)):
            stops = [min(0, more) or 2**62 for more in ends]
            value = ctx.op("Slice", value, ctx.ints(*(max(0, -more) for more in begins)), ctx.ints(*stops), self.axes)
        if any(more > 0 for more in (*begins, *ends)):
            pads = [0, 0, *(max(0, more) for more in begins), 0, 0, *(max(0, more) for more in ends)]
            value = ctx.op("Pad", value, ctx.ints(*pads), ctx.number(fill))
        return value
