"""Pascal VOC: palette masks, object numbers, borders that are not judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.api import DataError, SegmentationTarget
from harness_segmentation.params import PascalVocParams
from harness_segmentation.pascal_voc import LABELS, PascalVoc

CLASSES = np.array([[0, 15, 255, 20], [0, 15, 255, 0]], np.uint8)
OBJECTS = np.array([[0, 1, 255, 2], [0, 1, 255, 0]], np.uint8)


def palette(path: Path, values: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values).convert("P")
    picture.putdata(values.ravel().tolist())
    picture.putpalette([value % 256 for value in range(0, 768 * 7, 7)])
    picture.save(path)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    root = tmp_path / "VOCdevkit/VOC2012"
    for name in ("2007_000032", "2007_000039"):
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 2), (90, 60, 30)).save(root / f"JPEGImages/{name}.jpg")
        palette(root / f"SegmentationClass/{name}.png", CLASSES)
        palette(root / f"SegmentationObject/{name}.png", OBJECTS)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n")
    (lists / "val.txt").write_text("2007_000039\n2007_000032\n")
    return tmp_path


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_indices_objects_and_void(voc: Path, below: str) -> None:
    (batch,) = PascalVoc(PascalVocParams(root=voc / below)).batches(9)
    assert batch.ids == ["2007_000039", "2007_000032"]
    target = batch.targets[0]
    assert isinstance(target, SegmentationTarget)
    assert target.labels == LABELS
    assert len(LABELS) == 21
    np.testing.assert_array_equal(target.mask, [[0, 15, -1, 20], [0, 15, -1, 0]])
    np.testing.assert_array_equal(target.instances, [[0, 1, 0, 2], [0, 1, 0, 0]])


def test_splits(voc: Path) -> None:
    assert len(PascalVoc(PascalVocParams(root=voc, split="train"))) == 1
    assert len(PascalVoc(PascalVocParams(root=voc, split="test", test="val"))) == 2
    with pytest.raises(DataError, match=r'test\.txt does not exist; .* use split = "val", or test = "val"'):
        PascalVoc(PascalVocParams(root=voc, split="test"))
    with pytest.raises(DataError, match=r"no Pascal VOC folder: it has no ImageSets/Segmentation"):
        PascalVoc(PascalVocParams(root=voc / "nowhere"))


def test_an_unknown_class_is_located(voc: Path) -> None:
    palette(voc / "VOCdevkit/VOC2012/SegmentationClass/2007_000039.png", np.where(CLASSES == 20, 21, CLASSES))
    (batch,) = PascalVoc(PascalVocParams(root=voc)).batches(9)
    assert batch.ids == ["2007_000032"]
    assert "2007_000039.png has the value 21 at row 0, column 3; known are 0, 1, 2" in batch.unreadable[0].reason
