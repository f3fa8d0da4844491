"""Folders of photographs: labels from names, masks beside them, every problem located."""

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from harness_classification.image_folder import ImageFolder
from harness_classification.params import ImageFolderParams


def write(path, value=0, size=(20, 30), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if path.parts[-3] == "masks" else (*size, 3)
    Image.fromarray(np.full(shape, value, dtype)).save(path)


@pytest.fixture
def root(tmp_path):
    for index, name in enumerate(("cat/b.png", "cat/a.jpg", "dog/a.png", "dog/x.y.png")):
        write(tmp_path / "images" / name, 40 * index)
    (tmp_path / "images" / "dog" / "notes.txt").write_text("not a photograph")
    return tmp_path / "images"


def read(root, **params):
    dataset = ImageFolder(ImageFolderParams(root=root, **params))
    (batch,) = dataset.batches(100)
    return batch


def test_labels_and_ids_come_from_the_folders(root):
    batch = read(root)
    assert list(batch.ids) == ["cat/a", "cat/b", "dog/a", "dog/x.y"]
    assert [target.label for target in batch.targets] == ["cat", "cat", "dog", "dog"]
    assert [image[0, 0, 0] for image in batch.images] == pytest.approx([40, 0, 80, 120], abs=1)
    assert batch.targets[0].mask is batch.targets[0].boxes is None


def test_masks_give_boxes(root):
    masks = root.parent / "masks"
    for index, name in enumerate(("cat/a.png", "cat/b.png", "dog/a.tif", "dog/x.y.png")):
        write(masks / name)
        mask = np.zeros((20, 30), np.uint8)
        mask[3:7, 5 : 10 + index] = 255 if index % 2 else 1
        Image.fromarray(mask).save(masks / name)
    batch = read(root, masks=masks)
    assert not batch.unreadable
    assert [target.boxes[0].tolist() for target in batch.targets] == [[5, 3, 10 + i, 7] for i in range(4)]
    assert batch.targets[1].mask.sum() == 4 * 6
    assert ImageFolderParams(root=root, masks=masks).provides == {"boxes", "mask"}
    assert ImageFolderParams(root=root).provides == frozenset()


def test_what_can_not_be_read_is_named(root):
    masks = root.parent / "masks"
    (root / "cat" / "a.jpg").write_bytes(b"no image")
    write(masks / "cat" / "a.png")
    write(masks / "dog" / "a.png", size=(9, 9))
    write(masks / "dog" / "x.y.png", 77)
    batch = read(root, masks=masks)
    assert list(batch.ids) == []
    reasons = {each.id: each.reason for each in batch.unreadable}
    assert list(reasons) == ["cat/a", "cat/b", "dog/a", "dog/x.y"]
    assert "cat/a.jpg is damaged or no image" in reasons["cat/a"]
    assert "no mask named b" in reasons["cat/b"]
    assert "a.png has 30 x 20 pixels, its mask a.png has 9 x 9" in reasons["dog/a"]
    assert "x.y.png has the values 77" in reasons["dog/x.y"]


def test_count_splits_and_labels(root):
    assert list(read(root, count=2).ids) == ["cat/a", "dog/a"]
    assert list(read(root, labels=["dog"]).ids) == ["dog/a", "dog/x.y"]
    root.rename(root.parent / "train")
    assert len(read(root.parent, split="train").ids) == 4


def test_the_fingerprint_follows_the_files(root):
    before = ImageFolder(ImageFolderParams(root=root)).fingerprint()
    assert ImageFolder(ImageFolderParams(root=root)).fingerprint() == before
    write(root / "cat" / "c.png")
    assert ImageFolder(ImageFolderParams(root=root)).fingerprint() != before


def test_wrong_layouts_are_explained(root, tmp_path):
    def refused(match, **params):
        with pytest.raises(DataError, match=match):
            ImageFolder(ImageFolderParams(**{"root": root, **params}))

    refused("nowhere does not exist; image-folder reads root/CLASS", root=tmp_path / "nowhere")
    refused('val does not exist.*split = "val" is a folder', split="val")
    refused("2 photographs but no folders", root=root / "cat")
    refused('has no class "dogs"; did you mean "dog"', labels=["dogs"])
    refused("masks does not exist; `masks` has the layout", masks=tmp_path / "masks")
    (root / "eel").mkdir()
    refused("eel has no photographs", labels=None)
    write(root / "cat" / "a.png")
    refused(r"a\.jpg and a\.png share the name a", labels=["cat"])
