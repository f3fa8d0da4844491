"""Contact sheets: a row for each sample, a column for each cell: models and generators are seen side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api import CellResult, FinishedRun, evenly, number
from harness_reports.html.pictures import Pictures
from harness_reports.html.scores import Scores, sample_scores
from harness_reports.html.shapes import Shape, caption, shapes, truth
from harness_reports.html.text import label, metric

_MOST_ROWS = 16
_MOST_CARDS = 400
"""Of one sheet: with many columns it has fewer rows."""
_MOST_SCORES = 3
"""Below a picture."""


@dataclass(frozen=True, slots=True)
class Card:
    """One sample as one cell sees it. picture: key in Pictures; size: native (height, width); maps: (title, key in
    Pictures) of maps from inside of the network."""

    picture: str | None
    size: tuple[int, int]
    shapes: Sequence[Shape]
    caption: str
    scores: Sequence[tuple[str, str]]
    maps: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One sample. badness: by result name, how bad its worst cell is; spread: how far the cells lie apart, of a
    single one how bad it is."""

    id: str
    truth: str
    cards: Sequence[Card | None]
    badness: dict[str, float]
    spread: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """kind: accuracy or explain; columns: (name, key of the cell); metrics: that samples can be ordered by."""

    title: str
    kind: str
    columns: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    metrics: Sequence[str]
    legend: str
    left_out: int = 0


@dataclass(slots=True)
class _Column:
    """entries: of the samples with pictures; scores: of all samples that were scored, in the order of the dataset."""

    cell: CellResult
    folder: Path
    entries: dict[str, dict[str, Any]]
    scores: dict[str, Scores]


def sheets(run: FinishedRun, pictures: Pictures) -> list[Sheet]:
    """One for each kind and dataset that has thumbnails; a folder that is damaged or gone is left out."""
    groups: dict[tuple[str, str], list[_Column]] = {}
    for cell in run.results.cells:
        column = _column(run, cell)
        if column is not None:
            groups.setdefault((cell.kind, str(cell.dataset)), []).append(column)
    return [_sheet(kind, dataset, columns, pictures) for (kind, dataset), columns in groups.items()]


def _column(run: FinishedRun, cell: CellResult) -> _Column | None:
    folder = run.path(cell, "thumbnails")
    if folder is None:
        return None
    try:
        entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        found = {str(entry["id"]): entry for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    scores = sample_scores(run, cell)
    return _Column(cell, folder, found, scores | {id_: _scores(entry) for id_, entry in found.items()
                                                  if id_ not in scores})


def _sheet(kind: str, dataset: str, columns: list[_Column], pictures: Pictures) -> Sheet:
    cells = [column.cell for column in columns]
    ids, chosen = _chosen(columns, max(2, min(_MOST_ROWS, _MOST_CARDS // len(columns))))
    lines = [line for id_ in chosen if (line := _line(id_, columns, pictures)) is not None]
    lines.sort(key=lambda line: -line.spread)
    metrics = list(dict.fromkeys(name for line in lines for name in line.badness))
    names = [(label(cell, cells), cell.key) for cell in cells]
    title = f"{'Saliency maps' if kind == 'explain' else 'Samples'} of {dataset}"
    return Sheet(title, kind, names, lines, metrics, _legend(columns), ids - len(lines))


def _line(id_: str, columns: Sequence[_Column], pictures: Pictures) -> Line | None:
    cards = [_card(column, column.entries[id_], pictures) if id_ in column.entries else None for column in columns]
    if all(card is None or card.picture is None for card in cards):
        return None
    values = _badness(id_, columns)
    entry = next(column.entries[id_] for column in columns if id_ in column.entries)
    return Line(id_, truth(entry), cards, {name: max(each) for name, each in values.items()}, _spread(id_, columns))


def _chosen(columns: Sequence[_Column], most: int) -> tuple[int, list[str]]:
    """How many samples have pictures, and which are shown.

    Half of them are those that the cells judge most differently, the others evenly spaced over the rest in the order of
    the dataset, as far as possible such as all cells have.
    """
    cells = {id_: sum(id_ in column.entries for column in columns)
             for column in columns for id_ in (*column.scores, *column.entries)}
    ids = [id_ for id_, count in cells.items() if count]
    apart = sorted(ids, key=lambda id_: (-_spread(id_, columns), -cells[id_]))[: most // 2]
    rest = [id_ for id_ in ids if id_ not in apart]
    free = most - len(apart)
    fewest = sorted((cells[id_] for id_ in rest), reverse=True)[:free][-1:]
    widest = [id_ for id_ in rest if cells[id_] >= min(fewest, default=0)]
    return len(ids), [*apart, *evenly(widest, free)]


def _badness(id_: str, columns: Sequence[_Column]) -> dict[str, list[float]]:
    """By result name, how bad a sample is in each cell that scored it."""
    values: dict[str, list[float]] = {}
    for column in columns:
        for name, value in column.scores.get(id_, {}).items():
            found = column.cell.metrics.get(name)
            if value is not None and found is not None:
                values.setdefault(name, []).append(-value if found.higher_is_better else value)
    return values


def _spread(id_: str, columns: Sequence[_Column]) -> float:
    """How far the cells lie apart by the first metric; of a single one how bad it is."""
    first = next(iter(_badness(id_, columns).values()), [0.0])
    return max(first) - min(first) if len(columns) > 1 else first[0]


def _card(column: _Column, entry: dict[str, Any], pictures: Pictures) -> Card:
    size = entry.get("size") or [1, 1]
    scores = [(name, metric(column.cell.metrics[name].model_copy(update={"value": value, "ci": None})).text
               if value is not None else number(None))
              for name, value in _scores(entry).items() if name in column.cell.metrics]
    picture, drawn = _picture(column.folder, entry, pictures)
    return Card(picture, (int(size[0]), int(size[1])), [] if drawn else shapes(entry), caption(entry),
                scores[:_MOST_SCORES], [*_maps(column.folder, entry, pictures)])


def _maps(folder: Path, entry: dict[str, Any], pictures: Pictures) -> Iterator[tuple[str, str]]:
    for each in entry.get("maps") or []:
        key = pictures.file(folder / Path(str(each.get("file"))).name)
        if key is not None:
            yield str(each.get("name")), key


def _picture(folder: Path, entry: dict[str, Any], pictures: Pictures) -> tuple[str | None, bool]:
    """The picture's key, and whether everything is drawn into it already."""
    if isinstance(entry.get("overlay"), str):  # a saliency map over the picture
        overlay, mask = folder / Path(entry["overlay"]).name, (entry.get("target") or {}).get("mask")
        if isinstance(mask, dict) and "file" in mask:
            return pictures.outlined(overlay, folder / Path(mask["file"]).name), False
        return pictures.file(overlay), False
    masks = [(entry.get(side) or {}).get("mask") for side in ("target", "prediction")]
    files = [folder / Path(mask["file"]).name for mask in masks if isinstance(mask, dict) and "file" in mask]
    image = folder / Path(str(entry.get("file"))).name
    if len(files) == 2:
        return pictures.errors(image, *files), True
    return pictures.file(image), False


def _scores(entry: dict[str, Any]) -> Scores:
    found = entry.get("scores")
    return found if isinstance(found, dict) else {}


def _legend(columns: Sequence[_Column]) -> str:
    """How to read the pictures, as a kind that the page knows the words for."""
    entry = next((entry for column in columns for entry in column.entries.values()), {})
    target, prediction = entry.get("target") or {}, entry.get("prediction") or {}
    if "points" in target:
        return "keypoints"
    if isinstance(prediction.get("mask"), dict):
        return "segmentation"
    if "scores" in prediction and "boxes" in prediction:
        return "detection"
    return "explain" if columns[0].cell.kind == "explain" else "classification"
