"""The arithmetic of a U-Net's sizes: which are admitted, what is lost at the borders, how far a pixel sees."""

from __future__ import annotations

from collections.abc import Sequence


def margin(depth: int) -> int:
    """Pixels that the unpadded network loses at each side: 92 for the four poolings of the paper (572 -> 388).

    Two 3x3 convolutions take 2 pixels at each side, at resolution 2^-l these are 2 * 2^l; all but the deepest
    resolution have two such pairs: 4 (2^depth - 1) + 2 * 2^depth.
    """
    return 6 * int(2**depth) - 4


def step_remainder(depth: int, padded: bool) -> tuple[int, int]:
    """Admitted lengths are remainder + a multiple of step, so that every pooling sees an even length.

    Unpadded, length = 2^depth * k + 4 * (2^depth - 1) for k pixels that enter the deepest resolution.
    """
    step = 2**depth
    return (step, 0) if padded else (step, 4 * (step - 1))


def radius(depth: int) -> int:
    """Largest distance along an axis of an input pixel that an output pixel depends on, over all output positions."""
    period = 2**depth
    reach = 0
    for position in range(period):
        low, high = _decoded(position, position, 0, depth)
        reach = max(reach, position - low, high - position)
    return reach


def _decoded(low: int, high: int, level: int, depth: int) -> tuple[int, int]:
    """Input interval that the decoder's pixels low..high at a resolution depend on."""
    low, high = low - 2, high + 2
    if level == depth:  # no decoder: these were the encoder's two convolutions
        return _encoded_input(low, high, level)
    skip = _encoded_input(low - 2, high + 2, level)
    deep = _decoded(low // 2, high // 2, level + 1, depth)
    return min(skip[0], deep[0]), max(skip[1], deep[1])


def _encoded_input(low: int, high: int, level: int) -> tuple[int, int]:
    """Input interval of the pixels that enter the encoder at a resolution."""
    for _ in range(level):
        low, high = 2 * low - 2, 2 * high + 1 + 2
    return low, high


def check_size(name: str, size: Sequence[int], depth: int, padded: bool) -> None:
    """Raises ValueError when a height or width is not admitted; the message gives the nearest that are."""
    step, remainder = step_remainder(depth, padded)
    least = step if padded else remainder + 9 * step  # with 9, tiles decide at least `step` pixels
    for length in size:
        if length < least or (length - remainder) % step:
            above = max(least, remainder + -(-(length - remainder) // step) * step)
            near = [str(value) for value in (above - step, above) if value >= least]
            kind = "padded" if padded else "unpadded"
            raise ValueError(f"{name}: a {kind} network with {depth} poolings does not take {length} pixels, but "
                             f"{' or '.join(near)}")


def default_tile(size: Sequence[int], depth: int, padded: bool) -> tuple[int, int]:
    """`size`; that of a padded network four overlaps larger where it is less than eight of them."""
    if not padded:
        return size[0], size[1]
    overlap = 2**depth * -(-radius(depth) // 2**depth)
    height, width = (length if length >= 8 * overlap else length + 4 * overlap for length in size)
    return height, width
