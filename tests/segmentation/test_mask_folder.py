"""Images and masks in folders: layouts, and mistakes that are located."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from harness.api import Batch, DataError, SegmentationTarget
from harness_segmentation.mask_folder import MaskFolder
from harness_segmentation.params import MaskFolderParams


def mask(value: int = 255) -> NDArray[np.uint8]:
    values = np.zeros((6, 8), np.uint8)
    values[2:4, 3:7] = value
    return values


def put(path: Path, values: NDArray[np.uint8] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), 90, np.uint8) if values is None else values).save(path)


@pytest.fixture
def icoseg(tmp_path: Path) -> Path:
    """The layout of iCoseg: a subfolder for each group, the same names under ground_truth."""
    for name in ("025_Cheetah/a", "025_Cheetah/b", "037_Agra/a"):
        put(tmp_path / f"images/{name}.jpg")
        put(tmp_path / f"ground_truth/{name}.png", mask(1 if name[0] == "0" else 255))
    return tmp_path


def read(root: Path, **params: Any) -> Batch:
    (batch,) = MaskFolder(MaskFolderParams(root=root, **params)).batches(99)
    return batch


def target(batch: Batch, index: int = 0) -> SegmentationTarget:
    found = batch.targets[index]
    assert isinstance(found, SegmentationTarget)
    return found


def test_icoseg(icoseg: Path) -> None:
    batch = read(icoseg, masks="ground_truth")
    assert batch.ids == ["025_Cheetah/a", "025_Cheetah/b", "037_Agra/a"]
    assert [image.shape for image in batch.images] == [(6, 8, 3)] * 3
    for index in range(3):
        np.testing.assert_array_equal(target(batch, index).mask, mask() > 0)
    assert target(batch).labels == ("background", "foreground")
    assert target(batch).instances is None


def test_maps_are_a_fourth_channel(icoseg: Path) -> None:
    for index, name in enumerate(("025_Cheetah/a", "025_Cheetah/b", "037_Agra/a")):
        put(icoseg / f"maps/{name}.png", np.full((6, 8), 40 * index, np.uint8))
    batch = read(icoseg, masks="ground_truth", maps="maps")
    assert [image.shape for image in batch.images] == [(6, 8, 4)] * 3
    assert [int(image[0, 0, 3]) for image in batch.images] == [0, 40, 80]
    plain = read(icoseg, masks="ground_truth")
    for image, other in zip(batch.images, plain.images, strict=True):
        np.testing.assert_array_equal(image[..., :3], other)
    before = MaskFolder(MaskFolderParams(root=icoseg, masks="ground_truth", maps="maps")).fingerprint()
    put(icoseg / "maps/037_Agra/a.png", np.full((6, 8, 3), 9, np.uint8))
    put(icoseg / "maps/025_Cheetah/b.png", np.zeros((6, 7), np.uint8))
    (icoseg / "maps/025_Cheetah/a.png").unlink()
    folder = MaskFolder(MaskFolderParams(root=icoseg, masks="ground_truth", maps="maps"))
    assert folder.fingerprint() != before
    reasons = [each.reason for batch in folder.batches(99) for each in batch.unreadable]
    for reason, part in zip(reasons, ("does not exist", "7 x 6", "color image"), strict=True):
        assert part in reason


def test_side_by_side_with_a_suffix(tmp_path: Path) -> None:
    for name in ("x", "y"):
        put(tmp_path / f"{name}.jpg")
        put(tmp_path / f"{name}_GT.bmp", mask())
    batch = read(tmp_path, images=".", masks=".", suffix="_GT")
    assert batch.ids == ["x", "y"]
    assert target(batch).mask.sum() == 8
    with pytest.raises(ValidationError, match="need a suffix"):
        MaskFolderParams(root=tmp_path, images=".", masks=".")


def test_classes_and_ignored_values(tmp_path: Path) -> None:
    values = mask(7)
    values[0] = 255
    put(tmp_path / "images/a.png")
    put(tmp_path / "masks/a.png", values)
    found = target(read(tmp_path, classes={"sky": 0, "bird": 7}, ignore=[255]))
    assert found.labels == ("sky", "bird")
    np.testing.assert_array_equal(np.unique(found.mask), [-1, 0, 1])
    assert (found.mask[0] == -1).all()
    with pytest.raises(ValidationError, match="same value"):
        MaskFolderParams(root=tmp_path, classes={"sky": 0, "bird": 0})


@pytest.mark.parametrize(("spoil", "reason"), [
    (lambda path: put(path, mask()[:5]), r"a\.png has 8 x 6 pixels, its mask a\.png has 8 x 5"),
    (lambda path: put(path, mask(3)), r"mask a\.png has the value 3 at row 2, column 3; known are 0, 1, 255"),
    (lambda path: path.unlink(), r"its mask masks/a\.png does not exist"),
    (lambda path: put(path, np.zeros((6, 8, 3), np.uint8)), r"mask a\.png is a color image \(mode RGB\)"),
    (lambda path: path.write_bytes(b"broken"), r"masks/a\.png is damaged or no image"),
])
def test_a_mistake_is_located_and_the_others_are_read(tmp_path: Path, spoil: Any, reason: str) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"images/{name}.png")
        put(tmp_path / f"masks/{name}.png", mask())
    spoil(tmp_path / "masks/a.png")
    batch = read(tmp_path)
    assert batch.ids == ["b"]
    (unreadable,) = batch.unreadable
    assert unreadable.id == "a"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(unreadable.reason)


def test_missing_folders_and_equal_names(icoseg: Path) -> None:
    with pytest.raises(DataError, match=r"masks does not exist; mask-folder reads"):
        read(icoseg)
    put(icoseg / "images/037_Agra/a.png")
    with pytest.raises(DataError, match="share the name 037_Agra/a"):
        read(icoseg, masks="ground_truth")
    (icoseg / "empty").mkdir()
    with pytest.raises(DataError, match="has no images"):
        read(icoseg, images="empty", masks="ground_truth")


def test_splits_divide_the_samples_and_keep_them(tmp_path: Path) -> None:
    for index in range(60):
        put(tmp_path / f"images/{index:02d}.png")
        put(tmp_path / f"masks/{index:02d}.png", mask())
    parts = {split: set(read(tmp_path, split=split).ids) for split in ("train", "val", "test")}
    assert set.union(*parts.values()) == set(read(tmp_path).ids)
    assert sum(map(len, parts.values())) == 60
    assert len(parts["train"]) > len(parts["val"]) > 0
    put(tmp_path / "images/99.png")
    assert set(read(tmp_path, split="val").ids) - {"99"} <= parts["val"]
    assert len(read(tmp_path, count=7).ids) == 7


def test_the_fingerprint_follows_masks(icoseg: Path) -> None:
    data = MaskFolder(MaskFolderParams(root=icoseg, masks="ground_truth"))
    before = data.fingerprint()
    (icoseg / "ground_truth/037_Agra/a.png").unlink()
    assert data.fingerprint() != before
