"""Tiles: they partition the image, lie on the pooling grid, and see it mirrored at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.card import InputSpec, TileSpec
from harness.geometry import Size, fit_image, mirrored_window
from harness.tiling import admitted, predict_tiles, tiles

SPECS = (
    TileSpec(size=(64, 48), step=8, radius=9),
    TileSpec(size=(44, 36), step=4, remainder=12, margin=8),
    TileSpec(size=(10, 10)),
)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(SPECS), st.integers(1, 150), st.integers(1, 150))
def test_parts_cover_each_pixel_once_and_windows_are_admitted(spec: TileSpec, height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in tiles(Size(height, width), spec):
        covered[tile.part] += 1
        assert all((length - spec.remainder) % spec.step == 0 for length in tile.size)
        assert all(length <= limit for length, limit in zip(tile.size, spec.size, strict=True))
        assert (tile.top + spec.margin) % spec.step == (tile.left + spec.margin) % spec.step == 0
        assert tile.source[0].stop <= tile.size.height - 2 * spec.margin
    assert (covered == 1).all()


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(SPECS), st.integers(1, 120), st.integers(1, 120), st.integers(0, 9))
def test_a_pixelwise_model_gives_the_image_itself(spec: TileSpec, height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 1), np.uint8)
    inner = slice(spec.margin, -spec.margin or None)
    result = np.full((1, height, width), -1.0)
    for part, logits in predict_tiles(image, spec, lambda window: window.transpose(0, 3, 1, 2)[:, :, inner, inner]):
        result[:, part[0], part[1]] = logits
    np.testing.assert_array_equal(result[0], image[:, :, 0])


def test_a_padded_tile_decides_nothing_within_the_receptive_radius() -> None:
    spec = SPECS[0]
    for tile in tiles(Size(200, 200), spec):
        for part, start, length in ((tile.part[0], tile.top, 64), (tile.part[1], tile.left, 48)):
            assert part.start - start >= spec.radius
            assert start + length - part.stop >= spec.radius


def test_admitted_lengths() -> None:
    assert [admitted(length, SPECS[0]) for length in (1, 8, 9, 16)] == [8, 8, 16, 16]
    assert [admitted(length, SPECS[1]) for length in (1, 4, 5)] == [20, 20, 24]


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 20))
def test_mirrored_windows_are_numpys_reflection(height: int, width: int, border: int) -> None:
    image = np.arange(height * width).reshape(height, width)
    window = mirrored_window(image, -border, -border, Size(height + 2 * border, width + 2 * border))
    np.testing.assert_array_equal(window, np.pad(image, border, mode="reflect"))


def test_fit_tile_neither_scales_nor_loses_the_center() -> None:
    image = np.random.default_rng(0).integers(0, 256, (10, 40, 1), np.uint8)
    placed, fit = fit_image(image, InputSpec(size=(16, 20), color="GRAY", fit="tile"))
    np.testing.assert_array_equal(placed[3:13], image[:, 10:30])
    np.testing.assert_array_equal(placed[2], placed[4])  # mirrored about the first row
    np.testing.assert_array_equal(fit.points_to_native(np.array([[0, 3]])), [[10, 0]])


@pytest.mark.parametrize(("params", "message"), [
    ({"size": (60, 64), "step": 8}, "multiple of 8"),
    ({"size": (64, 64), "step": 8, "remainder": 4}, "multiple of 8 plus 4"),
    ({"size": (24, 24), "step": 8, "radius": 9}, "too small: tiles overlap by 16"),
])
def test_useless_tiles_are_refused(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TileSpec.model_validate(params)
