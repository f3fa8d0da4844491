"""One picture of many explanations: a row for each photograph and class, a column for each method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from harness.overlay import Pixels, heat

CELL = 224
"""Longest side of a picture on the sheet, in pixels."""
_GAP, _LINE, _MARGIN = 10, 19, 16
_INK, _PALE, _PAPER = (28, 28, 30), (110, 110, 116), (255, 255, 255)
_LEGEND = (150, 12)


class Row(NamedTuple):
    """photograph and overlays: (H, W, 3) uint8, all of one size, at most CELL; lines: what is written below.

    notes: a word below each overlay, or "".
    """

    photograph: Pixels
    lines: Sequence[str]
    overlays: Sequence[Pixels]
    notes: Sequence[str]


def contact_sheet(methods: Sequence[str], rows: Sequence[Row], footer: str = "", *, signed: bool = False) -> Pixels:
    """(H, W, 3) uint8. footer: a line at the bottom; signed: whether the legend explains both signs."""
    columns = len(methods) + 1
    heights = [row.photograph.shape[0] + _LINE * max(len(row.lines), 1) + _GAP for row in rows]
    width = 2 * _MARGIN + columns * CELL + (columns - 1) * _GAP
    height = 2 * _MARGIN + _LINE + sum(heights) + (len(rows) - 1) * _GAP + 3 * _LINE
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(["photograph", *methods]):
        _write(draw, _left(column), _MARGIN - 4, title, bold=True)
    top = _MARGIN + _LINE
    for row, tall in zip(rows, heights, strict=True):
        _paste_row(sheet, draw, top, row)
        top += tall + _GAP
    _legend(sheet, draw, height - _MARGIN - 2 * _LINE, footer, signed)
    return np.asarray(sheet)


def fitted_size(height: int, width: int, longest: int = CELL) -> tuple[int, int]:
    """(height, width) with the longest side `longest`, the aspect ratio kept."""
    scale = longest / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _paste_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, row: Row) -> None:
    bottom = top + row.photograph.shape[0] + 3
    for column, pixels in enumerate([row.photograph, *row.overlays]):
        sheet.paste(Image.fromarray(pixels), (_left(column), top))
    for number, line in enumerate(row.lines):
        _write(draw, _left(0), bottom + number * _LINE, line, bold=number == 0, pale=number > 1)
    for column, note in enumerate(row.notes, start=1):
        _write(draw, _left(column), bottom, note, pale=True)


def _legend(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, footer: str, signed: bool) -> None:
    """Each map in its own scale: the ends have no numbers."""
    left = _MARGIN
    bars = [("low", 0, "high")] + [("against the class", -1, "for it")] * signed
    for before, low, after in bars:
        left = _write(draw, left, top, before, pale=True) + 6
        sheet.paste(_bar(low), (left, top + 4))
        left = _write(draw, left + _LEGEND[0] + 6, top, after, pale=True) + 28
    _write(draw, _MARGIN, top + _LINE, footer, pale=True, room=sheet.width - 2 * _MARGIN)


def _bar(low: int) -> Image.Image:
    colors = heat(np.linspace(low, 1, _LEGEND[0]), signed=low < 0)
    return Image.fromarray(np.repeat(colors[None], _LEGEND[1], axis=0))


def _left(column: int) -> int:
    return _MARGIN + column * (CELL + _GAP)


def _write(draw: ImageDraw.ImageDraw, left: int, top: int, text: str, *, bold: bool = False, pale: bool = False,
           room: int = CELL) -> int:
    """Write a line, cut to `room` pixels; returns where it ends."""
    font = _font()
    stroke = 0.35 if bold else 0
    while text and draw.textlength(text, font) > room:
        text = text[:-2].rstrip("… ") + "…" if len(text) > 2 else ""
    draw.text((left, top), text, _PALE if pale else _INK, font, stroke_width=stroke)
    return left + round(draw.textlength(text, font))


@lru_cache
def _font() -> Any:
    return ImageFont.load_default(14)
