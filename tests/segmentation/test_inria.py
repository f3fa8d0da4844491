"""Aerial tiles: the official split, windows without the rest of the tile, and what is missing."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.api import DataError, SegmentationTarget, UnreadableSample
from harness_segmentation.inria import InriaAerial
from harness_segmentation.params import InriaAerialParams
from harness_segmentation.tiff import TiffWindows

tifffile = pytest.importorskip("tifffile")

KINDS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
    "tiles": {"tile": (32, 16)},
    "compressed tiles": {"tile": (32, 16), "compression": "zlib", "predictor": True},
}


def picture(height: int = 90, width: int = 70, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def write(path: Path, values: NDArray[np.uint8], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photometric = "rgb" if values.ndim == 3 else "minisblack"
    tifffile.imwrite(path, values, photometric=photometric, **options)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, options in KINDS.items():
        write(folder / f"{name}.tif", picture(), **options)
    return folder


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(list(KINDS)), st.integers(0, 80), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
def test_windows_are_those_of_the_whole_image(kinds: Path, kind: str, top: int, left: int, height: int,
                                              width: int) -> None:
    height, width = min(height, 90 - top), min(width, 70 - left)
    with TiffWindows(kinds / f"{kind}.tif") as tile:
        assert tile.shape == (90, 70, 3)
        expected = picture()[top : top + height, left : left + width]
        np.testing.assert_array_equal(tile.read(top, left, height, width), expected)


@pytest.mark.parametrize("options", [{}, {"tile": (256, 256), "compression": "zlib"}])
def test_a_window_of_a_large_tile_takes_little_memory(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / "large.tif", np.zeros((3000, 3000, 3), np.uint8), **options)
    with TiffWindows(tmp_path / "large.tif") as tile:
        tile.read(0, 0, 8, 8)
        tracemalloc.start()
        tile.read(1400, 1400, 300, 300)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 3_000_000  # 27 MB in all


@pytest.mark.parametrize(("values", "options", "message"), [
    (picture().astype(np.uint16), {}, "holds uint16, not 8-bit values"),
    (np.zeros((5000, 5000, 3), np.uint8), {"compression": "zlib", "rowsperstrip": 5000}, "in one piece of 71 MiB"),
])
def test_files_that_can_not_be_read_by_window(tmp_path: Path, values: Any, options: dict[str, Any],
                                              message: str) -> None:
    write(tmp_path / "x.tif", values, **options)
    with pytest.raises(UnreadableSample, match=message):
        TiffWindows(tmp_path / "x.tif")


def test_damaged_files(tmp_path: Path, kinds: Path) -> None:
    with pytest.raises(UnreadableSample, match=r"x\.tif does not exist"):
        TiffWindows(tmp_path / "x.tif")
    (tmp_path / "x.tif").write_bytes(b"no picture")
    with pytest.raises(UnreadableSample, match="damaged or no TIFF file"):
        TiffWindows(tmp_path / "x.tif")
    (tmp_path / "x.tif").write_bytes((kinds / "strips.tif").read_bytes()[:4000])
    with pytest.raises(UnreadableSample), TiffWindows(tmp_path / "x.tif") as tile:
        tile.read(0, 0, 90, 70)


@pytest.fixture
def inria(tmp_path: Path) -> Path:
    """Chicago and Vienna, tiles of 100 x 80 pixels."""
    for city in ("chicago", "vienna"):
        for number in range(1, 37):
            image = np.full((80, 100, 3), number, np.uint8)
            truth = np.zeros((80, 100), np.uint8)
            truth[40:, 64:] = 255
            write(tmp_path / f"train/images/{city}{number}.tif", image, tile=(16, 16), compression="zlib")
            write(tmp_path / f"train/gt/{city}{number}.tif", truth, tile=(16, 16), compression="zlib")
    return tmp_path


def data(root: Path, **params: Any) -> InriaAerial:
    return InriaAerial(InriaAerialParams(root=root, **{"cities": ["chicago", "vienna"], "window": 32, **params}))


def test_the_official_split(inria: Path) -> None:
    val, train = data(inria), data(inria, split="train")
    for part, numbers in ((val, range(1, 6)), (train, range(6, 37))):
        expected = {f"{city}{number}" for city in ("chicago", "vienna") for number in numbers}
        assert {sample.image.stem for sample in part.samples} == expected
    assert len(val) == 10 * 2 * 3  # two windows of 32 fit into 80, three into 100
    assert len(data(inria, split="test", test="val")) == len(val)
    assert len(data(inria, count=7)) == 7


def test_windows_and_masks(inria: Path) -> None:
    (batch,) = data(inria, cities=["vienna"]).batches(6, range(6))
    assert batch.ids == [f"vienna1-{top}-{left}" for top in (0, 32) for left in (0, 32, 64)]
    target = batch.targets[5]
    assert isinstance(target, SegmentationTarget)
    assert target.labels == ("background", "building")
    assert (batch.images[5] == 1).all()
    expected = np.zeros((32, 32))
    expected[8:] = 1
    np.testing.assert_array_equal(target.mask, expected)


@pytest.mark.parametrize(("params", "message"), [
    ({"split": "test"}, r'not public; use split = "val", or test = "val"'),
    ({"cities": ["austin"]}, r'10 files of split "val" are missing, the first is austin1\.tif; set cities'),
    ({"window": 90}, "has 100 x 80 pixels, a window needs 90"),
])
def test_what_is_missing_is_named(inria: Path, params: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        data(inria, **params)


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train/images and train/gt; unpack the archive of https://project\.inria\.fr"):
        data(tmp_path)


def test_an_incomplete_copy(inria: Path) -> None:
    (inria / "train/gt/vienna3.tif").unlink()
    with pytest.raises(DataError, match="1 files of split"):
        data(inria)
    assert len(data(inria, incomplete=True)) == 9 * 6


def test_checksums(inria: Path, tmp_path: Path) -> None:
    names = [f"train/{kind}/vienna{number}.tif" for kind in ("images", "gt") for number in range(1, 6)]
    lines = [f"{hashlib.sha256((inria / name).read_bytes()).hexdigest()}  {name}" for name in names]
    listed = tmp_path / "SHA256SUMS"
    listed.write_text("\n".join(lines) + "\n")
    good = data(inria, cities=["vienna"], checksums=listed)
    assert not any(batch.unreadable for batch in good.batches(10))
    listed.write_text("\n".join([lines[0].replace(lines[0][0], "f" if lines[0][0] != "f" else "0", 1), *lines[1:]]))
    batches = list(data(inria, cities=["vienna"], checksums=listed).batches(10))
    reasons = [each.reason for batch in batches for each in batch.unreadable]
    assert len(reasons) == 6
    assert "train/images/vienna1.tif has another checksum" in reasons[0]
    listed.write_text("abc vienna\n")
    with pytest.raises(DataError, match="SHA256SUMS:1  expected SHA256 NAME"):
        data(inria, checksums=listed)


def test_a_value_that_is_no_class(inria: Path) -> None:
    write(inria / "train/gt/vienna1.tif", np.full((80, 100), 7, np.uint8))
    (batch,) = data(inria, cities=["vienna"]).batches(6, range(6))
    assert len(batch.unreadable) == 6
    assert "vienna1.tif has the value 7 at row 0, column 0; known are 0, 255" in batch.unreadable[0].reason
