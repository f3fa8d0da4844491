"""Saliency maps as pictures: over the photograph, in colors that keep their order for every eye and in print.

A map is shown relative to itself: from its minimum to its maximum where it has one sign, symmetric around zero where it
has two; the maximum is taken at the 99 % quantile, since single pixels of a gradient may exceed all others by far.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_QUANTILE = 0.99
_SPARSE = 0.02
"""Of the maximum: with a smaller quantile nearly all of the map is empty, and its maximum is used."""
_TWO_SIGNS = 0.05
"""A map whose weaker sign reaches this share of the stronger one is shown with two colors."""
_FLAT = 1e-6
"""Of a map's magnitude: with a smaller range it is constant up to rounding."""
_HEAT = ((0.22, 0.08, 300.0), (0.42, 0.17, 330.0), (0.58, 0.21, 18.0), (0.73, 0.18, 52.0), (0.87, 0.17, 88.0),
         (0.97, 0.12, 106.0))
"""Low to high in OKLCh (lightness, chroma, hue in degrees): lightness rises evenly from violet over red to yellow."""
_FOR, _AGAINST = ((0.93, 0.10, 95.0), (0.70, 0.19, 50.0)), ((0.88, 0.08, 235.0), (0.52, 0.19, 262.0))
"""Evidence for and against a class, weak to strong: orange and blue, which all common color deficiencies tell apart."""


class Shown(NamedTuple):
    """values: (h, w) float32 in [0, 1], or [-1, 1] where `signed`; NaN where there is no map. constant: all equal."""

    values: Floats
    signed: bool
    constant: bool


def shown(map_: NDArray[Any], *, signed: bool = False) -> Shown:
    """What is displayed of a raw map; values that are not finite count as missing.

    signed: with two colors whatever its signs, so that it can be compared with maps that need them.
    """
    values = np.where(np.isfinite(map_), map_, np.nan).astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high - low <= _FLAT * max(abs(low), abs(high)):
        return Shown(np.where(np.isnan(values), np.nan, 0).astype(np.float32), signed=False, constant=True)
    # Where all evidence is against, the strongest is the lowest.
    if signed or high <= 0 or min(-low, high) >= _TWO_SIGNS * max(-low, high):
        limit = _top(np.abs(finite))
        return Shown(np.clip(values / limit, -1, 1).astype(np.float32), signed=True, constant=False)
    base = max(low, 0.0)
    return Shown(np.clip((values - base) / (_top(finite) - base), 0, 1).astype(np.float32), signed=False,
                 constant=False)


def overlay(photograph: Pixels, map_: NDArray[Any], *, signed: bool = False) -> Pixels:
    """(H, W, C) uint8 photograph, (H, W) raw map -> (H, W, 3) uint8; where the map is NaN the photograph is dimmed."""
    display = shown(map_, signed=signed)
    gray = np.asarray(Image.fromarray(rgb_pixels(photograph)).convert("L"), np.float32)[:, :, None] / 255
    strength = np.abs(np.nan_to_num(display.values))[:, :, None]
    base = 0.28 + 0.62 * gray  # neither black nor white, so that every color stands out
    colors = heat(display.values, signed=display.signed).astype(np.float32) / 255
    if display.signed:
        alpha = 0.85 * strength**0.6
    else:
        alpha = np.full_like(strength, 0.0 if display.constant else 0.58)
    alpha[np.isnan(display.values)] = 0
    base[np.isnan(display.values)] *= 0.35
    return np.asarray(np.clip((base * (1 - alpha) + colors * alpha) * 255 + 0.5, 0, 255), np.uint8)


def heat(values: NDArray[Any], *, signed: bool = False) -> Pixels:
    """(...) values in [0, 1], or in [-1, 1] where `signed` -> (..., 3) uint8; NaN is black."""
    index = np.rint(np.clip(np.abs(np.nan_to_num(values)), 0, 1) * 255).astype(int)
    colors = np.where((values < 0)[..., None], ramp("against")[index], ramp("for" if signed else "heat")[index])
    return np.where(np.isnan(values)[..., None], 0, colors).astype(np.uint8)


@lru_cache
def ramp(name: str) -> Pixels:
    """(256, 3) uint8: "heat" (low to high), "for" or "against" (weak to strong)."""
    anchors = np.array({"heat": _HEAT, "for": _FOR, "against": _AGAINST}[name])
    lightness, chroma, hue = anchors.T
    hue = np.radians(np.unwrap(hue, period=360))
    points = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)])
    positions, wanted = np.linspace(0, 1, len(anchors)), np.linspace(0, 1, 256)
    return _srgb(np.stack([np.interp(wanted, positions, values) for values in points], axis=1))


def _srgb(lab: NDArray[np.float64]) -> Pixels:
    """OKLab (Ottosson 2020) -> sRGB."""
    long, medium, short = (lab @ np.array([[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775],
                                           [0.2158037573, -0.0638541728, -1.2914855480]])).T ** 3
    linear = np.stack([4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
                       -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
                       -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short], axis=1).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)


def _top(values: NDArray[np.float64]) -> float:
    """The quantile that counts as the maximum; the maximum itself where nearly all values are at the bottom."""
    high, top = float(values.max()), float(np.quantile(values, _QUANTILE))
    return top if top > _SPARSE * high else high


def rgb_pixels(photograph: Pixels) -> Pixels:
    """(H, W, 1, 3 or 4) uint8 -> (H, W, 3)."""
    return np.repeat(photograph, 3, axis=2) if photograph.shape[2] == 1 else photograph[:, :, :3]
