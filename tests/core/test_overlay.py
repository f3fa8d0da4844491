"""Colors of maps, overlays and contact sheets."""

import numpy as np
import pytest

from harness.overlay import heat, overlay, ramp, rgb_pixels, shown
from harness.sheet import CELL, Row, contact_sheet, fitted_size


def lightness(colors):
    """CIE L* of (..., 3) uint8 sRGB."""
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


# Machado, Oliveira & Fernandes 2009, full severity, linear RGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen_with(deficiency, colors):
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1)
    return 255 * np.where(changed <= 0.0031308, 12.92 * changed, 1.055 * changed ** (1 / 2.4) - 0.055)


def test_heat_gets_lighter_evenly():
    steps = np.diff(lightness(ramp("heat"))[::15])
    assert steps.min() > 0.5 * steps.mean()
    assert steps.max() < 2 * steps.mean()
    assert lightness(ramp("heat"))[-1] - lightness(ramp("heat"))[0] > 75


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colors_keep_their_order_for_other_eyes(deficiency):
    assert np.diff(lightness(seen_with(deficiency, ramp("heat")))[::15]).min() > 0
    ends = [seen_with(deficiency, ramp(name)[-1]) for name in ("for", "against")]
    assert np.linalg.norm(ends[0] - ends[1]) > 100


def test_evidence_for_and_against_has_two_colors():
    colors = heat(np.array([-1.0, 0.0, 1.0, np.nan]), signed=True)
    np.testing.assert_array_equal(colors, [ramp("against")[-1], ramp("for")[0], ramp("for")[-1], [0, 0, 0]])
    np.testing.assert_array_equal(heat(np.array([0.0, 1.0])), ramp("heat")[[0, -1]])


def test_a_map_is_shown_relative_to_itself():
    map_ = np.linspace(3, 5, 400).reshape(20, 20)
    found = shown(map_)
    assert (found.signed, found.constant) == (False, False)
    assert found.values[0, 0] == 0
    assert found.values.max() == 1
    np.testing.assert_allclose(shown(10 * map_).values, found.values, atol=1e-6)
    both = shown(np.linspace(-1, 2, 400).reshape(20, 20))
    assert both.signed
    assert both.values.max() == 1
    assert both.values.min() == pytest.approx(-0.5, abs=0.02)
    forced = shown(map_, signed=True)
    assert forced.signed
    assert forced.values.min() > 0.55
    against = shown(np.linspace(-2, -1, 400).reshape(20, 20))
    assert against.signed
    assert against.values.argmin() == 0


def test_a_trace_of_the_other_sign_makes_no_second_color():
    map_ = np.linspace(-0.01, 1, 400).reshape(20, 20)
    assert not shown(map_).signed


def test_one_pixel_does_not_hide_the_others():
    map_ = np.random.default_rng(0).random((100, 100))
    map_[5, 5] = 4
    assert np.median(shown(map_).values) > 0.4
    spot = np.zeros((100, 100))
    spot[5, 5] = 4
    assert shown(spot).values[5, 5] == 1


@pytest.mark.parametrize("value", [0, 7.5, -2])
def test_constant_maps_and_missing_values(value):
    found = shown(np.full((4, 4), value))
    assert found.constant
    assert not found.values.any()
    found = shown(np.array([[1, np.nan], [np.inf, 1]]))
    assert found.constant
    assert np.isnan(found.values).tolist() == [[False, True], [True, False]]
    assert shown(np.full((2, 2), np.nan)).constant


def test_the_overlay_is_brightest_where_the_map_is_and_dim_where_there_is_none():
    photograph = np.full((30, 40, 3), 120, np.uint8)
    map_ = np.zeros((30, 40), np.float32)
    map_[10:20, 10:20] = 1
    map_[:, 30:] = np.nan
    drawn = lightness(overlay(photograph, map_))
    assert drawn[10:20, 10:20].min() > drawn[:5, :5].max() + 20
    assert drawn[:, 30:].max() < drawn[:5, :5].min()
    constant = overlay(photograph, np.ones((30, 40)))
    assert np.ptp(constant) == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_photographs_of_any_depth(channels):
    photograph = np.random.default_rng(0).integers(0, 256, (6, 8, channels), np.uint8)
    assert rgb_pixels(photograph).shape == (6, 8, 3)
    assert overlay(photograph, np.random.default_rng(0).random((6, 8))).shape == (6, 8, 3)


def test_a_sheet_has_a_row_for_each_photograph_and_a_column_for_each_method():
    rows = [Row(np.full((size[0], size[1], 3), 10, np.uint8), ["cat", "probability 0.9", "a very long name " * 9],
                [np.full((size[0], size[1], 3), value, np.uint8) for value in (80, 160)], ["", "constant map"])
            for size in (fitted_size(300, 600), fitted_size(600, 300))]
    sheet = contact_sheet(["one", "two"], rows, "model.onnx", signed=True)
    columns = {value: np.flatnonzero((sheet == value).all(axis=2).any(axis=0)) for value in (10, 80, 160)}
    assert columns[10].max() < columns[80].min()
    assert columns[80].max() < columns[160].min()
    for value in (10, 80, 160):
        assert (sheet == value).all(axis=2).sum() >= 2 * CELL * CELL // 2
    assert sheet.shape[1] < 3 * (CELL + 40)
    plain = contact_sheet(["one", "two"], rows)
    assert (plain != sheet).any()


@pytest.mark.parametrize(("native", "expected"), [
    ((300, 600), (112, 224)), ((20, 10), (224, 112)), ((1, 999), (1, 224))])
def test_pictures_fill_their_cell(native, expected):
    assert fitted_size(*native) == expected
