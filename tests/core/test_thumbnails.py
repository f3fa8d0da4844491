"""Thumbnails: which samples, how large, and what is written beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from harness.card import InputSpec, ModelCard
from harness.masks import pack_masks
from harness.table import Ragged, Table
from harness.tasks import ClassificationTarget, DetectionTarget, KeypointsTarget, SegmentationTarget, Target
from harness.thumbnails import Writer, prediction_json, thumbnail_size

KEYPOINTS = ModelCard(task="keypoints", input=InputSpec(size=(8, 8)))
CLASSES = ModelCard(task="classification", input=InputSpec(size=(8, 8)), classes={"cat": 1, "lynx": 1, "dog": 3})


def written(folder: Path, card: ModelCard, image: NDArray[np.uint8], target: Target, table: Table) -> dict[str, Any]:
    writer = Writer(folder, card)
    writer.add("one", image, target, table, 0)
    writer.close()
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert len(entries) == 1
    return dict(entries[0])


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_sizes_keep_the_aspect_ratio(height: int, width: int) -> None:
    small = thumbnail_size(height, width)
    assert max(small) == min(160, max(height, width))
    assert small[0] == pytest.approx(width * max(small) / max(height, width), abs=0.5) or small[0] == 1


def test_small_images_are_kept_pixel_by_pixel(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 1), np.uint8)
    target = KeypointsTarget(points=np.array([[1.25, 2.0], [3.0, np.nan]], np.float32), visible=np.array([True, False]))
    table = Table({"keypoints": np.array([[[0.1, 2.0], [3.0, 4.0]]], np.float32),
                   "scores": np.array([[0.5, np.inf]], np.float32)})
    entry = written(tmp_path, KEYPOINTS, image, target, table)
    assert entry == {
        "id": "one", "file": "00.png", "size": [20, 30],
        "target": {"points": [[1.25, 2.0], [3.0, None]], "visible": [True, False]},
        "prediction": {"keypoints": [[0.1, 2.0], [3.0, 4.0]], "scores": [0.5, None]},
        "scores": {},
    }
    with Image.open(tmp_path / "00.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), image[:, :, 0])


def test_photographs_are_scaled_and_their_masks_with_them(tmp_path: Path) -> None:
    image = np.full((400, 300, 3), (200, 30, 40), np.uint8)
    mask = np.zeros((400, 300), np.bool_)
    mask[:200] = True
    target = ClassificationTarget(label="cat", boxes=np.array([[0, 0, 300, 200]], np.float32), mask=mask)
    entry = written(tmp_path, CLASSES, image, target, Table({"logits": np.zeros((1, 4), np.float32)}))
    assert entry["size"] == [400, 300]
    assert entry["target"] == {"label": "cat", "boxes": [[0, 0, 300, 200]], "mask": {"file": "00.mask.png"}}
    with Image.open(tmp_path / entry["file"]) as picture:
        assert picture.size == (120, 160)
        assert np.abs(np.asarray(picture).astype(int) - (200, 30, 40)).max() <= 4
    with Image.open(tmp_path / "00.mask.png") as picture:
        values = np.asarray(picture)
    assert values.shape == (160, 120)
    assert (values[:80] == 255).all()
    assert (values[80:] == 0).all()


def test_classes_are_ranked_with_their_names() -> None:
    logits = np.log(np.array([[0.1, 0.4, 0.1, 0.3, 0.1, 1e-30]])).astype(np.float32)
    found = prediction_json(Table({"logits": logits}), 0, CLASSES)["logits"]
    assert [entry["class"] for entry in found] == [1, 3, 0, 2, 4]  # equal ones by index
    assert [entry["label"] for entry in found] == ["cat", "dog", None, None, None]
    assert [entry["probability"] for entry in found] == pytest.approx([0.4, 0.3, 0.1, 0.1, 0.1], rel=1e-5)
    named = CLASSES.model_copy(update={"labels": ["a", "b", "c", "d", "e", "f"]})
    assert [entry["label"] for entry in prediction_json(Table({"logits": logits}), 0, named)["logits"]] == list("bdace")


def test_the_right_row_and_no_large_arrays() -> None:
    table = Table({
        "boxes": Ragged.of([np.zeros((0, 4), np.float32), np.ones((2, 4), np.float32)]),
        "count": np.array([3, 4]),
        "map": np.zeros((2, 100, 100), np.float32),
    })
    card = KEYPOINTS
    assert prediction_json(table, 0, card) == {"boxes": [], "count": 3, "map": {"shape": [100, 100]}}
    assert prediction_json(table, 1, card)["boxes"] == [[1.0] * 4] * 2


def test_of_many_boxes_the_best_are_kept_with_what_belongs_to_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (300, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.uniform(1, 9, (300, 2)).astype(np.float32)], axis=1)
    scores = rng.permutation(300).astype(np.float32) / 300
    table = Table({"boxes": Ragged.of([boxes]), "scores": Ragged.of([scores]),
                   "labels": Ragged.of([np.arange(300)]), "level": Ragged.of([np.arange(300) % 4])})
    target = DetectionTarget(boxes=boxes, labels=tuple(map(str, range(300))), crowd=np.zeros(300, np.bool_))
    card = ModelCard(task="detection", input=InputSpec(size=(64, 64)))
    entry = written(tmp_path, card, np.zeros((64, 64, 3), np.uint8), target, table)
    found, truth = entry["prediction"], entry["target"]
    best = np.sort(np.argsort(-scores)[:100])
    assert found["labels"] == best.tolist()
    assert found["level"] == (best % 4).tolist()
    np.testing.assert_allclose(found["boxes"], boxes[best], rtol=1e-5)
    np.testing.assert_allclose(found["scores"], scores[best], rtol=1e-5)
    largest = np.sort(np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))[:100])
    assert truth["labels"] == [str(index) for index in largest]
    assert [len(truth[name]) for name in ("boxes", "crowd")] == [100, 100]
    assert (found["left_out"], truth["left_out"]) == (200, 200)


def test_nothing_is_written_without_samples(tmp_path: Path) -> None:
    Writer(tmp_path / "thumbnails", KEYPOINTS).close()
    assert not (tmp_path / "thumbnails").exists()


def test_files_are_numbered(tmp_path: Path) -> None:
    writer = Writer(tmp_path, CLASSES)
    table = Table({"logits": np.zeros((3, 4), np.float32)})
    for row in range(3):
        writer.add(f"id-{row}", np.zeros((4, 4, 3), np.uint8), ClassificationTarget(label="cat"), table, row)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00.png", "01.png", "02.png", "index.json"]


def test_class_maps_are_pictures(tmp_path: Path) -> None:
    truth, found = np.array([[0, 1, -1]], np.int32), np.array([[2, -1, 0]], np.int16)
    card = ModelCard(task="segmentation", input=InputSpec(size=(8, 8)))
    writer = Writer(tmp_path, card)
    target = SegmentationTarget(mask=truth, labels=("a", "b", "c"))
    writer.add("x", np.zeros((1, 3, 4), np.uint8), target, Table(pack_masks([found])), 0)
    writer.close()
    (entry,) = json.loads((tmp_path / "index.json").read_text())
    pictures = [Image.open(tmp_path / entry[what]["mask"]["file"]) for what in ("target", "prediction")]
    assert [np.asarray(each).tolist() for each in pictures] == [[[0, 1, 255]], [[2, 255, 0]]]
