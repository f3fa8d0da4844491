"""Preparing a split: the same samples from one process, from several, and from the cache."""

from dataclasses import dataclass, fields

import numpy as np
import pytest
from PIL import Image

from harness import prepared_cache, preparing
from harness.card import InputSpec
from harness.errors import DataError
from harness.preparing import prepare_split
from harness.specs import DatasetSpec
from harness.tasks import ClassificationTarget, KeypointsTarget
from harness_classification.params import ForegroundParams, ImageFolderParams

SIZE = InputSpec(size=(32, 48))


def spec(name="foreground", attribute="Foreground", params=ForegroundParams):
    return DatasetSpec(name=name, summary="", task="classification", params=params,
                       factory=f"harness_classification.{name.replace('-', '_')}:{attribute}")


def assert_same(first, second):
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert list(first.fits) == list(second.fits)
    assert list(first.ids) == list(second.ids)
    assert first.input == second.input
    assert_same_targets(first.targets, second.targets)


def assert_same_targets(first, second):
    for one, other in zip(first, second, strict=True):
        assert type(one) is type(other)
        for field in fields(one):
            a, b = getattr(one, field.name), getattr(other, field.name)
            np.testing.assert_array_equal(a, b)
            assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


def test_workers_give_the_same_samples_in_the_same_order(tmp_path):
    params = ForegroundParams(count=200, size=32)
    alone = prepare_split(spec(), params, SIZE, workers=1, folder=tmp_path)
    assert len(alone) == 200
    assert_same(alone, prepare_split(spec(), params, SIZE, workers=2, folder=tmp_path))


def test_the_cache_gives_the_same_samples_and_notices_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "_LONG_S", 0.0)
    params = ForegroundParams(count=7, size=32)
    made = prepare_split(spec(), params, SIZE, workers=1, folder=tmp_path)
    (entry,) = tmp_path.glob("prepared/*/*")
    monkeypatch.setattr(preparing, "_prepare", None)  # whatever asks for it fails
    read = prepare_split(spec(), params, SIZE, folder=tmp_path)
    assert_same(made, read)
    assert isinstance(read.pixels, np.memmap)
    for other, size in ((ForegroundParams(count=7, size=32, seed=1), SIZE), (params, InputSpec(size=(32, 32)))):
        with pytest.raises(TypeError):
            prepare_split(spec(), other, size, folder=tmp_path)
    (entry / "rest.npz").write_bytes(b"damaged")
    with pytest.raises(TypeError):
        prepare_split(spec(), params, SIZE, folder=tmp_path)


def test_quick_data_is_not_stored(tmp_path):
    prepare_split(spec(), ForegroundParams(count=4, size=32), SIZE, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sample_that_can_not_be_read_is_named(tmp_path, workers):
    folder = tmp_path / "images" / "cat"
    folder.mkdir(parents=True)
    for index in range(200):
        Image.new("RGB", (4, 4)).save(folder / f"{index:03d}.png")
    (folder / "150.png").write_bytes(b"")
    params = ImageFolderParams(root=tmp_path / "images")
    declared = spec("image-folder", "ImageFolder", ImageFolderParams)
    with pytest.raises(DataError, match=r"the first is cat/150: .*is empty \(0 bytes\)"):
        prepare_split(declared, params, SIZE, workers=workers, folder=tmp_path)


def test_targets_survive_the_cache():
    rng = np.random.default_rng(0)
    labelled = [
        ClassificationTarget(label="a", boxes=rng.random((2, 4), np.float32), mask=rng.random((3, 5)) < 0.5),
        ClassificationTarget(label="b"),
        ClassificationTarget(label="c", boxes=np.zeros((0, 4), np.float32), mask=np.zeros((0, 7), np.bool_)),
    ]
    points = [KeypointsTarget(points=rng.random((k, 2), np.float32), visible=rng.random(k) < 0.5) for k in (3, 1)]
    for targets in (labelled, points):
        arrays, texts = prepared_cache.encode_targets(targets)
        decoded = prepared_cache.decode_targets(type(targets[0]), len(targets), arrays, texts)
        assert_same_targets(targets, decoded)


@dataclass(frozen=True)
class _Odd:
    value: object


@pytest.mark.parametrize("values", [[{"a": 1}], [np.zeros(2), np.zeros((1, 1))], ["a", np.zeros(2)]])
def test_targets_of_other_kinds_are_not_stored(values):
    assert prepared_cache.encode_targets([_Odd(value) for value in values]) is None
