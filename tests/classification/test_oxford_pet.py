"""The Oxford-IIIT Pet reader: both layouts, selections, and what it says when there is nothing to read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from harness.api import Batch, ClassificationTarget, DataError
from harness_classification.oxford_pet import OxfordPet, tight_box
from harness_classification.params import OxfordPetParams

NAMES = ["Abyssinian_1", "Abyssinian_10", "Abyssinian_2", "Egyptian_Mau_7", "chihuahua_3"]  # sorted
TRIMAP = np.full((12, 16), 2, np.uint8)
TRIMAP[3:8, 4:9] = 3
TRIMAP[4:7, 5:8] = 1


def add(root: Path, name: str, trimaps: str) -> None:
    image = np.full((12, 16, 3), len(name) * 7, np.uint8)
    for folder in (root / "images", root / trimaps):
        folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "images" / f"{name}.jpg", quality=95)
    Image.fromarray(TRIMAP).save(root / trimaps / f"{name}.png")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for name in NAMES:
        add(tmp_path, name, "trimaps")
    return tmp_path


@pytest.fixture
def official(tmp_path: Path) -> Path:
    for name in [*NAMES, "Bengal_5"]:  # the archive has photographs that no list names
        add(tmp_path, name, "annotations/trimaps")
    (tmp_path / "annotations/trimaps/._Abyssinian_1.png").write_bytes(b"resource fork")
    (tmp_path / "images/Abyssinian_1.mat").write_bytes(b"MATLAB")
    lines = [f"{name} 1 {1 + name.islower()} 1\n" for name in NAMES]
    lists = {"list": ["#Image CLASS-ID SPECIES BREED ID\n", "#ID: 1:37 Class ids\n", *reversed(lines)],
             "trainval": lines[:3], "test": lines[3:]}
    for name, content in lists.items():
        (tmp_path / f"annotations/{name}.txt").write_text("".join(content))
    return tmp_path


def dataset(root: Path, **params: Any) -> OxfordPet:
    return OxfordPet(OxfordPetParams(root=root, **params))


def everything(data: OxfordPet, size: int = 2) -> Batch:
    batches = list(data.batches(size))
    return Batch(*([item for batch in batches for item in getattr(batch, name)]
                   for name in ("images", "targets", "ids", "unreadable")))


def test_flat_layout(flat: Path) -> None:
    data = dataset(flat)
    batch = everything(data)
    assert len(data) == 5
    assert batch.ids == NAMES
    assert not batch.unreadable
    assert [image.shape for image in batch.images] == [(12, 16, 3)] * 5
    labels = [target.label for target in batch.targets if isinstance(target, ClassificationTarget)]
    assert labels == ["Abyssinian"] * 3 + ["Egyptian_Mau", "chihuahua"]


def test_mask_and_box_are_pet_and_border(flat: Path) -> None:
    target = everything(dataset(flat)).targets[0]
    assert isinstance(target, ClassificationTarget)
    assert target.mask is not None
    assert target.boxes is not None
    assert target.ignore is None
    np.testing.assert_array_equal(target.mask, TRIMAP != 2)
    np.testing.assert_array_equal(target.boxes, [[4, 3, 9, 8]])
    assert target.boxes.dtype == np.float32


@pytest.mark.parametrize(("split", "ids"), [("all", NAMES), ("trainval", NAMES[:3]), ("test", NAMES[3:])])
def test_official_lists_decide(official: Path, split: str, ids: list[str]) -> None:
    assert everything(dataset(official, split=split)).ids == ids


def test_official_folder_without_its_list(official: Path) -> None:
    (official / "annotations/list.txt").unlink()
    batch = everything(dataset(official))
    assert batch.ids == sorted([*NAMES, "Bengal_5"])
    assert not batch.unreadable


def test_batches_stream_in_the_order_asked_for(flat: Path) -> None:
    data = dataset(flat)
    assert [len(batch.ids) for batch in data.batches(2)] == [2, 2, 1]
    assert [batch.ids for batch in data.batches(2, [4, 0, 3])] == [["chihuahua_3", "Abyssinian_1"], ["Egyptian_Mau_7"]]
    first = next(iter(data.batches(1)))
    for name in NAMES[1:]:
        (flat / "images" / f"{name}.jpg").write_bytes(b"")  # read only when it is reached
    assert first.ids == ["Abyssinian_1"]
    assert everything(data).ids == ["Abyssinian_1"]


def test_breeds(flat: Path) -> None:
    assert everything(dataset(flat, breeds=["chihuahua", "Abyssinian"])).ids == [*NAMES[:3], "chihuahua_3"]


def test_count_is_evenly_spaced(flat: Path) -> None:
    assert everything(dataset(flat, count=2)).ids == ["Abyssinian_1", "Abyssinian_2"]
    assert everything(dataset(flat, count=3)).ids == ["Abyssinian_1", "Abyssinian_10", "Egyptian_Mau_7"]
    assert everything(dataset(flat, count=99)).ids == NAMES


@pytest.mark.parametrize(("params", "message"), [
    ({"breeds": ["chiuahua"]}, r'no breed "chiuahua"; did you mean "chihuahua"\?; it has Abyssinian, Egyptian_Mau'),
    ({"breeds": ["Sphynx"]}, r'no breed "Sphynx"; it has'),
    ({"split": "test"}, r'split = "test": the flat layout has no lists of splits; use split = "all"'),
])
def test_selections_that_do_not_exist(flat: Path, params: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(flat, **params)


def test_a_missing_list_is_named(official: Path) -> None:
    (official / "annotations/test.txt").unlink()
    with pytest.raises(DataError, match=r"annotations/test\.txt does not exist"):
        dataset(official, split="test")


def test_a_damaged_list_is_located(official: Path) -> None:
    (official / "annotations/list.txt").write_text("Abyssinian_1 1 1 1\nAbyssinian_2\n")
    with pytest.raises(DataError, match=r"list\.txt:2  expected NAME CLASS-ID SPECIES BREED-ID, found 'Abyssinian_2'"):
        dataset(official)


@pytest.mark.parametrize(("folders", "message"), [
    (None, r"pets does not exist.*images/ with annotations/trimaps/"),
    ([], r"it contains nothing; known layouts: images/ with annotations/trimaps/.* or images/ with trimaps/ \(flat\)"),
    (["photos", "masks"], r"it contains masks, photos; known layouts"),
    (["images"], r"it contains images; known layouts"),
    (["images", "annotations"], "it contains annotations, images"),
    (["images", "trimaps"], r"has no samples \(split all\); known layouts"),
])
def test_wrong_folders_are_told_the_layouts(tmp_path: Path, folders: list[str] | None, message: str) -> None:
    root = tmp_path / "pets"
    for folder in folders or []:
        (root / folder).mkdir(parents=True)
    if folders is not None:
        root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message):
        dataset(root)


def test_two_files_of_one_name_are_refused(flat: Path) -> None:
    Image.new("RGB", (16, 12)).save(flat / "images/chihuahua_3.png")
    with pytest.raises(DataError, match="share the name chihuahua_3"):
        dataset(flat)


def test_the_fingerprint_follows_the_files(official: Path) -> None:
    before = dataset(official).fingerprint()
    assert dataset(official).fingerprint() == before
    assert dataset(official, split="test").fingerprint() != before
    outside = official / "images/Bengal_5.jpg"
    os.utime(outside, ns=(1, 1))
    assert dataset(official).fingerprint() == before  # not one of the samples
    fingerprints = {before}
    for path in (official / "images/chihuahua_3.jpg", official / "annotations/trimaps/chihuahua_3.png",
                 official / "annotations/list.txt"):
        os.utime(path, ns=(1, 1))
        fingerprints.add(dataset(official).fingerprint())
    (official / "images/chihuahua_3.jpg").unlink()
    fingerprints.add(dataset(official).fingerprint())
    assert len(fingerprints) == 5


@settings(deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_tight_box_by_brute_force(mask: NDArray[np.bool_]) -> None:
    pixels = np.argwhere(mask)
    if not len(pixels):
        assert tight_box(mask).shape == (0, 4)
        return
    (x0, y0, x1, y1), = tight_box(mask).astype(int).tolist()
    assert (x0, y0) == (pixels[:, 1].min(), pixels[:, 0].min())
    assert (x1, y1) == (pixels[:, 1].max() + 1, pixels[:, 0].max() + 1)
