"""Maps that were made elsewhere."""

import os

import numpy as np
import pytest
from PIL import Image

from harness.api import DataError, InputSpec
from harness.geometry import Size, place, prepare
from harness_saliency.host_params import PrecomputedParams
from harness_saliency.precomputed import Precomputed


def maps(path, ids, spec=None, native=(30, 20), **params):
    fits = [place(Size(*native), spec or InputSpec(size=(12, 10)))] * len(ids)
    return Precomputed(PrecomputedParams(path=path, **params)).maps(ids, fits)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(3, 12, 10)).astype(np.float32)


def test_one_file_for_each_sample(tmp_path, values):
    (tmp_path / "cat").mkdir()
    np.save(tmp_path / "a.npy", values[0])
    np.save(tmp_path / "cat" / "b.npy", values[1].astype(np.float64)[None])  # (1, h, w) is a map, too
    found = maps(tmp_path / "{id}.npy", ["cat/b", "a"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values[[1, 0]])


def test_archives(tmp_path, values):
    np.savez(tmp_path / "a.npz", values[0])
    np.testing.assert_array_equal(maps(tmp_path / "{id}.npz", ["a"]), values[:1])
    np.savez(tmp_path / "b.npz", cam=values[1], other=values[0])
    np.testing.assert_array_equal(maps(tmp_path / "{id}.npz", ["b"], array="cam"), values[1:2])
    np.savez(tmp_path / "all.npz", ids=np.array(["x", "y", "z"]), maps=values)
    np.testing.assert_array_equal(maps(tmp_path / "all.npz", ["z", "x"]), values[[2, 0]])


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_gray_pictures_are_read_as_fractions(tmp_path, dtype, top):
    pixels = np.random.default_rng(0).integers(0, top + 1, (12, 10)).astype(dtype)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_allclose(maps(tmp_path / "{id}.png", ["a"])[0], pixels / top, rtol=1e-6)


def test_another_size_is_scaled_to_the_input(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 1], [2, 3]]))
    (found,) = maps(tmp_path / "{id}.npy", ["a"])
    # Half-pixel centers: row 0 lies at -0.4 of the two rows, row 11 beyond the second.
    assert found[0, 0] == 0
    assert found[-1, -1] == 3
    rows = np.clip((np.arange(12) + 0.5) / 6 - 0.5, 0, 1)
    columns = np.clip((np.arange(10) + 0.5) / 5 - 0.5, 0, 1)
    np.testing.assert_allclose(found, 2 * rows[:, None] + columns, atol=1e-6)


@pytest.mark.parametrize("spec", [
    InputSpec(size=(12, 10)), InputSpec(size=(12, 10), fit="letterbox"), InputSpec(size=(12, 10), fit="crop"),
    InputSpec(size=(8, 8), fit="crop", resize=10)])
def test_a_map_of_the_photograph_is_placed_as_the_photograph(tmp_path, spec):
    """The same picture as a map and as a photograph."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 36), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (found,) = maps(tmp_path / "{id}.png", ["a"], spec, native=(24, 36), covers="image")
    inputs, _ = prepare([np.repeat(pixels[:, :, None], 3, axis=2)], spec.model_copy(update={"fill": 0}))
    np.testing.assert_allclose(found, inputs[0, 0], atol=1.1 / 255)  # Pillow rounds after each axis


def test_a_map_of_the_whole_photograph_is_not_taken_for_one_of_a_crop(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((30, 20)))
    with pytest.raises(DataError, match=r'a\.npy: the map has the size of the photograph.*covers = "image"'):
        maps(tmp_path / "{id}.npy", ["a"], InputSpec(size=(10, 10), fit="crop"))
    assert maps(tmp_path / "{id}.npy", ["a"], InputSpec(size=(10, 10), fit="stretch")).shape == (1, 10, 10)


def spoiled(values):
    values = values.copy()
    values[3, 4] = np.inf
    return values


@pytest.mark.parametrize(("content", "message"), [
    (np.zeros((2, 12, 10)), r"a\.npy: a map is \(height, width\) numbers, this is float64 \(2, 12, 10\)"),
    (np.zeros(12), "a map is"),
    (np.array([["a"]]), "a map is"),
    (np.zeros((0, 3)), "a map is"),
    (spoiled(np.zeros((12, 10))), r"a\.npy: 1 of 120 values are NaN or infinite"),
])
def test_what_is_no_map_is_refused_by_name(tmp_path, content, message):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(DataError, match=message):
        maps(tmp_path / "{id}.npy", ["a"])


def test_missing_maps_are_named(tmp_path, values):
    np.save(tmp_path / "cat_1.npy", values[0])
    with pytest.raises(DataError, match=r'no map for sample "cat_2" and for 1 more.*did you mean "cat_1.npy"'):
        maps(tmp_path / "{id}.npy", ["cat_1", "cat_2", "cat_3"])
    np.savez(tmp_path / "all.npz", ids=["x", "y"], maps=values[:2])
    with pytest.raises(DataError, match=r'no map for sample "z": .*all\.npz has x, y'):
        maps(tmp_path / "all.npz", ["z"])


@pytest.mark.parametrize(("arrays", "message"), [
    ({"ids": ["x"]}, "has no array 'maps'; it has ids"),
    ({"ids": ["x", "x"], "maps": np.zeros((2, 3, 3))}, "2 ids, 1 of them different, for 2 maps"),
    ({"ids": ["x"], "maps": np.zeros((2, 3, 3))}, "1 ids, 1 of them different, for 2 maps"),
])
def test_archives_that_do_not_fit(tmp_path, arrays, message):
    np.savez(tmp_path / "all.npz", **arrays)
    with pytest.raises(DataError, match=message):
        maps(tmp_path / "all.npz", ["x"])


def test_damaged_files_and_wrong_paths(tmp_path):
    for name in ("a.npy", "a.png", "all.npz"):
        (tmp_path / name).write_bytes(b"nothing")
    Image.new("RGB", (10, 12)).save(tmp_path / "b.png")
    for path, id_, message in (("{id}.npy", "a", r"a\.npy: can not be read"), ("{id}.png", "a", "can not be read"),
                               ("all.npz", "a", "can not be read"), ("{id}.png", "b", "RGB; save it in"),
                               ("maps", "a", "name one file for each sample"), ("no.npz", "a", "can not be read")):
        with pytest.raises(DataError, match=message):
            maps(tmp_path / path, [id_])


@pytest.mark.parametrize("pattern", ["{id}.npy", "sub/{id}.npy", "sub/map-{id}.npy", "all.npz"])
def test_the_fingerprint_follows_the_files(tmp_path, pattern):
    path = tmp_path / pattern.replace("{id}", "a")
    path.parent.mkdir(exist_ok=True)
    stored = Precomputed(PrecomputedParams(path=tmp_path / pattern))
    seen = {stored.fingerprint()}
    for number in (1, 2):
        path.write_bytes(b"." * number)
        os.utime(path, ns=(number, number))
        seen.add(stored.fingerprint())
    assert len(seen) == 3


@pytest.mark.parametrize("path", ["all.npz", "{id}.npz"])
@pytest.mark.parametrize("damage", ["half", "flipped", "array"])
def test_archives_that_are_torn_or_something_else(tmp_path, values, path, damage):
    file = tmp_path / path.replace("{id}", "a")
    np.savez_compressed(file, ids=np.array(["a", "b", "c"]), maps=values)
    whole = file.read_bytes()
    if damage == "half":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    else:
        np.save(tmp_path / "array.npy", values[0][None, None])
        (tmp_path / "array.npy").rename(file)
    with pytest.raises(DataError, match=r"\.npz: "):
        maps(tmp_path / path, ["a"])


def test_an_archive_with_one_number(tmp_path):
    np.savez(tmp_path / "all.npz", ids=np.array("a"), maps=np.array(3.0))
    with pytest.raises(DataError, match=r"all\.npz: 'maps' is one number"):
        maps(tmp_path / "all.npz", ["a"])
