"""Files in COCO's format: what they mean, and one located error for each mistake."""

import json

import numpy as np
import pytest
from PIL import Image

from harness.api import DataError
from harness_detection.coco import Coco
from harness_detection.params import CocoParams, UnlabeledImagesParams
from harness_detection.unlabeled import UnlabeledImages

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}]


def write(folder, annotations, **changes):
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "a.png")
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(folder / "b.png")
    images = [{"id": 20, "file_name": "b.png", "width": 80, "height": 60},
              {"id": 4, "file_name": "a.png", "width": 80, "height": 60}]
    content = {"images": images, "categories": CATEGORIES, "annotations": annotations, **changes}
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def item(**changes):
    return {"id": 1, "image_id": 4, "category_id": 3, "bbox": [10, 20, 30, 15], **changes}


def load(folder, annotations, **params):
    (batch,) = Coco(CocoParams(annotations=write(folder, annotations), images=folder, **params)).batches(9)
    return batch


def test_boxes_labels_crowds_and_areas(tmp_path):
    batch = load(tmp_path, [item(), item(id=2, category_id=8, iscrowd=1, area=99.5, bbox=[0, 0, 80, 60])])
    assert batch.ids == ["4", "20"]
    target, nothing = batch.targets
    np.testing.assert_array_equal(target.boxes, [[10, 20, 40, 35], [0, 0, 80, 60]])
    assert target.labels == ("cat", "dog")
    assert target.crowd.tolist() == [False, True]
    assert target.areas.tolist() == [450, 99.5]
    assert nothing.boxes.shape == (0, 4)
    assert [image.shape for image in batch.images] == [(60, 80, 3)] * 2


def test_boxes_from_polygons_and_run_lengths(tmp_path):
    polygon = item(segmentation=[[5, 6, 25, 6, 15, 31], [2, 10, 3, 11, 2, 11]])
    mask = np.zeros((60, 80), np.uint8)
    mask[7:20, 11:13] = 1
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, len(flat)]).tolist()
    runs = item(id=2, iscrowd=1, segmentation={"size": [60, 80], "counts": counts})
    for each in (polygon, runs):
        del each["bbox"]
    np.testing.assert_array_equal(load(tmp_path, [polygon, runs]).targets[0].boxes, [[2, 6, 25, 31], [11, 7, 13, 20]])


def test_a_selection_of_categories_keeps_all_images(tmp_path):
    batch = load(tmp_path, [item(), item(id=2, category_id=8)], categories=["dog"])
    assert [target.labels for target in batch.targets] == [("dog",), ()]
    with pytest.raises(DataError, match=r'has no category "dogs"; did you mean "dog"\?'):
        load(tmp_path, [item()], categories=["dogs"])


def test_boxes_rounded_over_the_border_are_clipped(tmp_path):
    assert load(tmp_path, [item(bbox=[-0.4, 0, 80.9, 60])]).targets[0].boxes.tolist() == [[0, 0, 80, 60]]


@pytest.mark.parametrize(("bad", "message"), [
    (item(bbox=[70, 10, 20, 20]), r"annotations\[1\] \(id 1\): the box \[70, 10, 20, 20\] .* image 4 of 80 x 60"),
    (item(bbox=[10, 10, 0, 20]), r"annotations\[1\] \(id 1\): the box \[10, 10, 0, 20\] has no extent"),
    (item(category_id=5), r"annotations\[1\] \(id 1\): unknown category 5; the file lists 3 cat, 8 dog"),
    (item(image_id=5), r"annotations\[1\] \(id 1\): the file lists no image with the id 5"),
    (item(bbox=[1, 2, 3]), r"annotations\[1\] \(id 1\): its bbox or segmentation is malformed"),
    ({"id": 1, "image_id": 4, "category_id": 3}, r"annotations\[1\] \(id 1\): has neither a bbox nor"),
    ({"id": 1, "image_id": 4}, r"annotations\[1\]: has no 'category_id'"),
    ({"id": 1, "image_id": 4, "category_id": 3, "segmentation": {"counts": [3, 4]}},
     r"annotations\[1\] \(id 1\): its bbox or segmentation is malformed: its run lengths have no 'size'"),
    (item(area="large"), r"annotations\[1\] \(id 1\): its 'area' is 'large'; a number is expected"),
    (item(image_id=[4]), r"annotations\[1\]: its 'image_id' is \[4\]; a number or a text is expected"),
])
def test_mistakes_are_located(tmp_path, bad, message):
    with pytest.raises(DataError, match=rf"instances\.json: {message}"):
        load(tmp_path, [item(id=0), bad])


def test_null_is_what_the_file_does_not_say(tmp_path):
    path = write(tmp_path, [item(area=None, iscrowd=None)])
    content = json.loads(path.read_text())
    content["images"][0] |= {"width": None, "height": None}
    path.write_text(json.dumps(content))
    (batch,) = Coco(CocoParams(annotations=path, images=tmp_path)).batches(9)
    assert batch.targets[0].areas.tolist() == [450]
    content["images"][0]["width"] = "wide"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"images\[0\] .*its 'width' is 'wide'; a number is expected"):
        Coco(CocoParams(annotations=path, images=tmp_path))


@pytest.mark.parametrize(("text", "message"), [
    ("", "the file of annotations is empty"), ("{", "is not JSON"), ("[]", "is no COCO file"),
    ('{"categories": []}', "has no list 'images'"),
    ('{"categories": [], "images": [], "annotations": []}', "lists no images"),
])
def test_files_that_are_none(tmp_path, text, message):
    path = tmp_path / "instances.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        Coco(CocoParams(annotations=path, images=tmp_path))


def test_what_can_not_be_read_is_reported_by_name(tmp_path):
    path = write(tmp_path, [])
    (tmp_path / "a.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(tmp_path / "b.png")
    (batch,) = Coco(CocoParams(annotations=path, images=tmp_path)).batches(5)
    assert [each.id for each in batch.unreadable] == ["4", "20"]
    assert "a.png is damaged or no image" in batch.unreadable[0].reason
    assert "b.png has 10 x 10 pixels, the annotations say 80 x 60" in batch.unreadable[1].reason


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind):
    levels = np.arange(0, 240, 4, dtype=np.uint16).reshape(6, 10)
    Image.fromarray(levels * 257).save(tmp_path / f"a.{kind}")
    (batch,) = UnlabeledImages(UnlabeledImagesParams(root=tmp_path)).batches(5)
    np.testing.assert_array_equal(batch.images[0], np.repeat(levels[:, :, None], 3, axis=2))


def test_numbers_without_a_range_are_unreadable(tmp_path):
    Image.fromarray(np.full((6, 10), 300.5, np.float32)).save(tmp_path / "a.tif")
    (batch,) = UnlabeledImages(UnlabeledImagesParams(root=tmp_path)).batches(5)
    assert "without a defined range (mode F)" in batch.unreadable[0].reason


def test_unlabeled_images(tmp_path):
    with pytest.raises(DataError, match="has no images"):
        UnlabeledImages(UnlabeledImagesParams(root=tmp_path))
    write(tmp_path, [])
    (batch,) = UnlabeledImages(UnlabeledImagesParams(root=tmp_path)).batches(5)
    assert batch.ids == ["a.png", "b.png"]
    assert [len(target.boxes) for target in batch.targets] == [0, 0]
