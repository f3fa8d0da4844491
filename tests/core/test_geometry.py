"""Preprocessing and its inverses, against Pillow's own recipes, closed forms, exact fractions and round trips."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from harness.card import InputSpec
from harness.geometry import Fit, fit_image, normalize, prepare

BILINEAR = Image.Resampling.BILINEAR
sides = st.integers(1, 90)
sizes = st.tuples(sides, sides)
fits = st.sampled_from(["stretch", "crop", "letterbox"])


def picture(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)


def placed(native: tuple[int, int], size: tuple[int, int], fit: str, **more: Any) -> Fit:
    return fit_image(picture(*native), InputSpec(size=size, fit=fit, **more))[1]


@settings(deadline=None)
@given(sizes, sizes, fits, st.lists(st.tuples(*[st.floats(-100, 200)] * 2), min_size=1, max_size=5))
def test_points_round_trip(native: tuple[int, int], size: tuple[int, int], fit: str, points: list[Any]) -> None:
    geometry = placed(native, size, fit)
    back = geometry.points_to_native(geometry.points_to_input(np.array(points)))
    np.testing.assert_allclose(back, points, rtol=1e-4, atol=2e-3 / min(geometry.scale_x, geometry.scale_y, 1))


@settings(deadline=None)
@given(sizes, sizes, fits, st.lists(st.tuples(*[st.floats(-100, 200)] * 4), min_size=1, max_size=5))
def test_boxes_round_trip(native: tuple[int, int], size: tuple[int, int], fit: str, boxes: list[Any]) -> None:
    geometry = placed(native, size, fit)
    back = geometry.boxes_to_native(geometry.boxes_to_input(np.array(boxes)))
    np.testing.assert_allclose(back, boxes, rtol=1e-4, atol=2e-3 / min(geometry.scale_x, geometry.scale_y, 1))


@settings(deadline=None)
@given(sizes, sizes, fits)
def test_a_pixel_is_the_box_around_its_center(native: tuple[int, int], size: tuple[int, int], fit: str) -> None:
    """Points (centers at integers) and boxes (edges) are two views of one map."""
    geometry = placed(native, size, fit)
    point = np.array([3.0, 5.0])
    box = geometry.boxes_to_input(np.array([3.0, 5.0, 4.0, 6.0]))
    center = (box[:2] + box[2:]) / 2 - 0.5
    np.testing.assert_allclose(geometry.points_to_input(point), center, rtol=1e-5, atol=1e-3)


@settings(deadline=None)
@given(sizes, sizes)
def test_stretch_maps_the_whole_image_to_the_whole_input(native: tuple[int, int], size: tuple[int, int]) -> None:
    geometry = placed(native, size, "stretch")
    whole = np.array([0, 0, native[1], native[0]])
    np.testing.assert_allclose(geometry.boxes_to_input(whole), [0, 0, size[1], size[0]], rtol=1e-6)


@pytest.mark.parametrize(("native", "size"), [((37, 53), (20, 31)), ((20, 20), (64, 48)), ((90, 30), (32, 32))])
def test_stretch_is_pillow_resize(native: tuple[int, int], size: tuple[int, int]) -> None:
    image = picture(*native)
    pixels, _ = fit_image(image, InputSpec(size=size))
    expected = Image.fromarray(image).resize(size[::-1], BILINEAR)
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_same_size_is_untouched() -> None:
    for fit in ("stretch", "crop", "letterbox"):
        image = picture(32, 48)
        pixels, geometry = fit_image(image, InputSpec(size=(32, 48), fit=fit))
        np.testing.assert_array_equal(pixels, image)
        assert geometry == Fit((32, 48), (32, 48), 1, 1, 0, 0)  # type: ignore[arg-type]


def torchvision_recipe(image: NDArray[np.uint8], resize: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize(resize) and CenterCrop(size) as torchvision documents and computes them for Pillow images."""
    height, width = image.shape[:2]
    if width <= height:
        new_width, new_height = resize, int(resize * height / width)
    else:
        new_width, new_height = int(resize * width / height), resize
    scaled = Image.fromarray(image).resize((new_width, new_height), BILINEAR)
    top, left = round((new_height - size[0]) / 2.0), round((new_width - size[1]) / 2.0)
    return np.asarray(scaled.crop((left, top, left + size[1], top + size[0])))


@pytest.mark.parametrize("native", [(333, 500), (500, 281), (375, 500), (100, 100), (401, 400), (50, 77)])
@pytest.mark.parametrize("size", [(56, 56), (40, 61)])
def test_crop_is_resize_then_center_crop(native: tuple[int, int], size: tuple[int, int]) -> None:
    image = picture(*native)
    pixels, geometry = fit_image(image, InputSpec(size=size, fit="crop", resize=64))
    np.testing.assert_array_equal(pixels, torchvision_recipe(image, 64, size))
    middle = np.array([native[1] / 2 - 0.5, native[0] / 2 - 0.5])  # stays in the middle, up to whole-pixel cuts
    np.testing.assert_allclose(geometry.points_to_input(middle), [size[1] / 2 - 0.5, size[0] / 2 - 0.5], atol=0.51)


@settings(deadline=None)
@given(sizes, sizes)
def test_crop_without_margin_covers_the_input(native: tuple[int, int], size: tuple[int, int]) -> None:
    geometry = placed(native, size, "crop")
    x0, y0, x1, y1 = geometry.boxes_to_input(np.array([0, 0, native[1], native[0]]))
    assert x0 <= 1e-4
    assert y0 <= 1e-4
    assert x1 >= size[1] - 1e-4
    assert y1 >= size[0] - 1e-4
    assert x1 - x0 == pytest.approx(size[1]) or y1 - y0 == pytest.approx(size[0])


@pytest.mark.parametrize(("native", "size", "scale", "left", "top"), [
    ((100, 200), (64, 64), 0.32, 0, 16),       # scaled to 32 x 64: 16 rows above and below
    ((200, 100), (64, 64), 0.32, 16, 0),
    ((10, 20), (40, 40), 2.0, 0, 10),          # enlarged
    ((50, 100), (25, 60), 0.5, 5, 0),
])
def test_letterbox(native: tuple[int, int], size: tuple[int, int], scale: float, left: int, top: int) -> None:
    image = picture(*native)
    pixels, geometry = fit_image(image, InputSpec(size=size, fit="letterbox", fill=9))
    assert (geometry.scale_x, geometry.scale_y) == pytest.approx((scale, scale))
    assert (geometry.offset_x, geometry.offset_y) == (left, top)
    inner = Image.fromarray(image).resize((round(native[1] * scale), round(native[0] * scale)), BILINEAR)
    expected = np.full((*size, 3), 9, np.uint8)
    expected[top : top + inner.height, left : left + inner.width] = np.asarray(inner)
    np.testing.assert_array_equal(pixels, expected)


@settings(deadline=None)
@given(sizes, sizes)
def test_letterbox_keeps_the_whole_image_inside(native: tuple[int, int], size: tuple[int, int]) -> None:
    geometry = placed(native, size, "letterbox")
    x0, y0, x1, y1 = geometry.boxes_to_input(np.array([0, 0, native[1], native[0]]))
    assert min(x0, y0) >= -1e-4
    assert x1 <= size[1] + 1e-4
    assert y1 <= size[0] + 1e-4
    assert abs(x0 - (size[1] - x1)) <= 1 + 1e-4  # centered up to one pixel
    assert abs(y0 - (size[0] - y1)) <= 1 + 1e-4


def nearest(length: int, source: int, scaled: int, offset: int) -> list[int | None]:
    """For each of `length` pixels the source pixel under its center, in exact fractions; None outside."""
    found: list[int | None] = []
    for i in range(length):
        position = (Fraction(2 * i + 1, 2) - offset) * Fraction(source, scaled)
        found.append(floor(position) if 0 <= position < source else None)
    return found


def gather(mask: NDArray[Any], rows: list[int | None], columns: list[int | None], outside: int) -> NDArray[Any]:
    return np.array([[outside if r is None or c is None else mask[r, c] for c in columns] for r in rows])


@settings(deadline=None)
@given(sizes, sizes, fits)
def test_masks_by_exact_nearest_neighbor(native: tuple[int, int], size: tuple[int, int], fit: str) -> None:
    mask = np.arange(native[0] * native[1], dtype=np.int32).reshape(native)
    geometry = placed(native, size, fit)
    scaled = round(native[0] * geometry.scale_y), round(native[1] * geometry.scale_x)
    top, left = int(geometry.offset_y), int(geometry.offset_x)
    rows = nearest(size[0], native[0], scaled[0], top)
    columns = nearest(size[1], native[1], scaled[1], left)
    resized = geometry.mask_to_input(mask, outside=-1)
    assert resized.dtype == mask.dtype
    np.testing.assert_array_equal(resized, gather(mask, rows, columns, -1))


@settings(deadline=None)
@given(sizes, sizes, fits)
def test_masks_back_to_native_by_exact_nearest_neighbor(native: tuple[int, int], size: tuple[int, int],
                                                        fit: str) -> None:
    mask = np.arange(size[0] * size[1], dtype=np.int32).reshape(size)
    geometry = placed(native, size, fit)

    def source(length: int, scale: float, offset: float, limit: int) -> list[int | None]:
        scaled = round(length * scale)
        positions = [Fraction(2 * i + 1, 2) * Fraction(scaled, length) + int(offset) for i in range(length)]
        return [floor(p) if 0 <= p < limit else None for p in positions]

    rows = source(native[0], geometry.scale_y, geometry.offset_y, size[0])
    columns = source(native[1], geometry.scale_x, geometry.offset_x, size[1])
    np.testing.assert_array_equal(geometry.mask_to_native(mask, outside=-1), gather(mask, rows, columns, -1))


def test_boolean_masks_stay_boolean() -> None:
    geometry = placed((20, 40), (32, 32), "letterbox")
    resized = geometry.mask_to_input(np.ones((20, 40), np.bool_))
    assert resized.dtype == np.bool_
    assert resized.sum() == 16 * 32


def test_colors() -> None:
    image = picture(6, 5)
    rgb, _ = fit_image(image, InputSpec(size=(6, 5)))
    bgr, _ = fit_image(image, InputSpec(size=(6, 5), color="BGR"))
    gray, _ = fit_image(image, InputSpec(size=(6, 5), color="GRAY"))
    np.testing.assert_array_equal(rgb, image)
    np.testing.assert_array_equal(bgr, image[:, :, [2, 1, 0]])
    assert gray.shape == (6, 5, 1)
    luma = image @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(gray[:, :, 0] - luma).max() <= 1


def test_gray_images_for_color_models_and_for_gray_ones() -> None:
    image = picture(7, 9, 1)
    rgb, _ = fit_image(image, InputSpec(size=(7, 9)))
    gray, _ = fit_image(image, InputSpec(size=(7, 9), color="GRAY"))
    np.testing.assert_array_equal(rgb, np.repeat(image, 3, axis=2))
    np.testing.assert_array_equal(gray, image)


PIXELS = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)


@pytest.mark.parametrize(("more", "expected"), [
    ({}, [0.0, 0.2, 1.0]),
    ({"range": (-1.0, 1.0)}, [-1.0, -0.6, 1.0]),
    ({"range": (0.0, 255.0)}, [0.0, 51.0, 255.0]),
    ({"mean": [0.5, 0.2, 0.0], "std": [0.5, 0.1, 0.25]}, [-1.0, 0.0, 4.0]),
])
def test_values(more: dict[str, Any], expected: list[float]) -> None:
    values = normalize(PIXELS, InputSpec(size=(1, 1), **more))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-6, atol=1e-6)


def test_values_are_bit_for_bit_those_of_the_usual_scripts() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    spec: dict[str, Any] = {"size": (16, 16), "layout": "NHWC"}
    plain = pixels.astype(np.float32)
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    cases: list[tuple[dict[str, Any], NDArray[Any]]] = [
        ({}, plain / 255),
        ({"range": (-1.0, 1.0)}, plain / 127.5 - 1),
        ({"range": (0.0, 255.0)}, plain),
        ({"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}, (plain / 255 - mean) / std),
    ]
    for more, expected in cases:
        values = normalize(pixels, InputSpec.model_validate(spec | more))
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)


def test_mean_and_std_follow_the_color_order() -> None:
    spec = InputSpec(size=(1, 1), color="BGR", mean=[0.0, 0.0, 1.0], std=[1.0, 1.0, 1.0])
    values, _ = prepare([PIXELS[0]], spec)
    np.testing.assert_allclose(values.ravel(), [1.0, 0.2, -1.0], atol=1e-6)  # B, G, R - 1


@pytest.mark.parametrize(("layout", "shape"), [("NCHW", (2, 3, 4, 6)), ("NHWC", (2, 4, 6, 3))])
def test_layouts(layout: Any, shape: tuple[int, ...]) -> None:
    images = [picture(4, 6), picture(9, 7)]
    values, geometries = prepare(images, InputSpec(size=(4, 6), layout=layout))
    assert values.shape == shape
    assert values.flags.c_contiguous
    assert [geometry.native for geometry in geometries] == [(4, 6), (9, 7)]
    first = values[0] if layout == "NHWC" else values[0].transpose(1, 2, 0)
    np.testing.assert_allclose(first, images[0] / 255, atol=1e-6)


@pytest.mark.parametrize("values", [
    {"mean": [0.5]}, {"std": [1.0, 1.0, 1.0]}, {"mean": [0.5], "std": [1.0]},
    {"mean": [0.0] * 3, "std": [1.0, 0.0, 1.0]}, {"range": (1.0, 1.0)}, {"resize": 64}, {"size": (0, 3)},
    {"range": (0.0, 1.0), "mean": [0.0] * 3, "std": [1.0] * 3}, {"fit": "crop", "resize": 8}, {"fill": 256},
])
def test_contradictory_inputs_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        InputSpec.model_validate({"size": (32, 32)} | values)
