"""Maps at other sizes and in other frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.card import InputSpec
from harness.geometry import Size, place
from harness.resample import linear_weights, map_to_input, map_to_native, resize_maps, scaling_weights

LENGTHS = st.integers(1, 30)


@given(LENGTHS, LENGTHS)
def test_weights_interpolate_between_two_pixels(target, length):
    weights = scaling_weights(target, length)
    assert weights.shape == (target, length)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert ((weights > 0).sum(axis=1) <= 2).all()
    # A ramp stays a ramp inside, and is clamped at the ends.
    positions = (np.arange(target) + 0.5) * length / target - 0.5
    np.testing.assert_allclose(weights @ np.arange(length), np.clip(positions, 0, length - 1), atol=1e-5)


@given(st.lists(st.floats(-5, 40), min_size=1, max_size=5), LENGTHS)
def test_positions_beyond_the_ends_take_the_last_pixel(positions, length):
    values = np.sin(np.arange(length))
    expected = np.interp(positions, np.arange(length), values)
    np.testing.assert_allclose(linear_weights(np.array(positions), length) @ values, expected, atol=1e-5)


@pytest.mark.parametrize(("shape", "size"), [((2, 3, 6, 7), (24, 20)), ((6, 6), (11, 13)), ((1, 1), (4, 4))])
def test_enlarging_equals_pillow(shape, size):
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = resize_maps(maps, size)
    assert found.shape == (*shape[:-2], *size)
    for one, large in zip(maps.reshape(-1, *shape[-2:]), found.reshape(-1, *size), strict=True):
        expected = Image.fromarray(one).resize(size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(large, np.asarray(expected), atol=1e-5)


def test_enlarging_equals_torch():
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(2, 3, 6, 7)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(maps), (24, 17), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(resize_maps(maps, (24, 17)), expected.numpy(), atol=1e-5)


def test_maps_of_the_right_size_are_left_alone():
    maps = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    assert resize_maps(maps, (4, 5)) is maps


@pytest.mark.parametrize("spec", [
    InputSpec(size=(40, 60)), InputSpec(size=(50, 50), fit="letterbox"), InputSpec(size=(32, 32), fit="crop"),
    InputSpec(size=(48, 48), fit="crop", resize=60), InputSpec(size=(128, 128), fit="tile")])
def test_a_ramp_over_the_photograph_returns_to_its_place(spec):
    fit = place(Size(80, 120), spec)
    ramp = np.add.outer(np.arange(80.0), 2 * np.arange(120.0))
    back = map_to_native(map_to_input(ramp, fit), fit)
    seen = np.isfinite(back)
    cropped = spec.fit == "crop"
    assert seen.all() != cropped
    left = fit.offset_x / fit.scale_x
    if cropped:
        assert np.isfinite(back).any(axis=0).sum() == pytest.approx(120 + 2 * left, abs=2)
    inner = seen.copy()
    inner[:4] = inner[-4:] = False
    inner[:, :4] = inner[:, -4:] = False
    margin = np.zeros_like(inner)
    margin[4:-4, 4:-4] = [[seen[row - 4 : row + 5, column - 4 : column + 5].all() for column in range(4, 116)]
                          for row in range(4, 76)]
    np.testing.assert_allclose(back[margin], ramp[margin], atol=2.0)
    assert margin.sum() > 500


def test_margins_of_a_letterbox_are_empty():
    fit = place(Size(20, 40), InputSpec(size=(40, 40), fit="letterbox"))
    found = map_to_input(np.ones((20, 40)), fit)
    assert found[10:30].min() == 1
    assert np.abs(found[:10]).max() == np.abs(found[30:]).max() == 0


def test_another_resolution_of_the_photograph():
    fit = place(Size(200, 100), InputSpec(size=(20, 10)))
    values = np.random.default_rng(0).random((20, 10)).astype(np.float32)
    np.testing.assert_allclose(map_to_native(values, fit, (20, 10)), values, atol=1e-6)
    assert map_to_native(values, fit).shape == (200, 100)
