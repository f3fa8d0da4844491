"""Photographs as they are found: what is read, how, and what is reported as unreadable."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harness.api import Batch, ClassificationTarget
from harness_classification.oxford_pet import OxfordPet
from harness_classification.params import OxfordPetParams

NAME = "Bengal_1"
HEIGHT, WIDTH = 24, 16
PHOTO = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
PHOTO[:12, :8], PHOTO[:12, 8:], PHOTO[12:, :8], PHOTO[12:, 8:] = (220, 40, 30), (30, 200, 60), (40, 50, 210), 128
GRAY = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
TRIMAP = np.full((HEIGHT, WIDTH), 2, np.uint8)
TRIMAP[2:6, 3:5] = 1
Save = Callable[[Path], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("images", "trimaps"):
        (tmp_path / folder).mkdir()
    Image.fromarray(PHOTO).save(tmp_path / f"images/{NAME}.jpg", quality=95)
    Image.fromarray(TRIMAP).save(tmp_path / f"trimaps/{NAME}.png")
    return tmp_path


def read(root: Path) -> Batch:
    (batch,) = OxfordPet(OxfordPetParams(root=root)).batches(8)
    return batch


def pixels(root: Path) -> NDArray[np.uint8]:
    batch = read(root)
    assert [(item.id, item.reason) for item in batch.unreadable] == []
    (image,) = batch.images
    assert image.dtype == np.uint8
    return image


def reason(root: Path) -> str:
    batch = read(root)
    assert (list(batch.images), list(batch.targets), list(batch.ids)) == ([], [], [])
    (unreadable,) = batch.unreadable
    assert unreadable.id == NAME
    return unreadable.reason


def mask(root: Path) -> NDArray[np.bool_]:
    (target,) = read(root).targets
    assert isinstance(target, ClassificationTarget)
    assert target.mask is not None
    return target.mask


def image_path(root: Path) -> Path:
    return root / f"images/{NAME}.jpg"


def test_jpeg(root: Path) -> None:
    assert np.abs(pixels(root).astype(int)[6, 4] - PHOTO[6, 4]).max() < 12


def test_rgba_png_named_jpg(root: Path) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 10, np.uint8)
    Image.fromarray(np.concatenate([PHOTO, alpha], axis=2)).save(image_path(root), format="PNG")
    np.testing.assert_array_equal(pixels(root), PHOTO)  # the colors, whatever the transparency


def test_gray(root: Path) -> None:
    Image.fromarray(GRAY).save(image_path(root), format="PNG")
    np.testing.assert_array_equal(pixels(root), np.repeat(GRAY[:, :, None], 3, axis=2))


def test_gray_with_alpha(root: Path) -> None:
    Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(GRAY)]).save(image_path(root), format="PNG")
    np.testing.assert_array_equal(pixels(root), np.repeat(GRAY[:, :, None], 3, axis=2))


def test_bilevel(root: Path) -> None:
    Image.fromarray(GRAY > 128).save(image_path(root), format="PNG")
    np.testing.assert_array_equal(pixels(root)[:, :, 1], (GRAY > 128) * np.uint8(255))


def test_palette_with_and_without_transparency(root: Path) -> None:
    palette = Image.fromarray(PHOTO).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    for options in ({}, {"transparency": 0}, {"transparency": bytes([0, 128, 255, 255])}):
        palette.save(image_path(root), format="PNG", **options)
        np.testing.assert_array_equal(pixels(root), PHOTO)


def test_cmyk(root: Path) -> None:
    Image.fromarray(PHOTO).convert("CMYK").save(image_path(root), format="JPEG", quality=98)
    assert np.abs(pixels(root).astype(int)[6, 4] - PHOTO[6, 4]).max() < 12


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(root: Path, kind: str) -> None:
    Image.fromarray(GRAY.astype(np.uint16) * 257).save(image_path(root), format=kind)
    np.testing.assert_array_equal(pixels(root)[:, :, 0], GRAY)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_photograph_and_trimap(root: Path, orientation: int) -> None:
    """The foreground is white in the photograph, and stays exactly where it is seen."""
    photo = np.repeat((TRIMAP != 2)[:, :, None] * np.uint8(255), 3, axis=2)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(image_path(root), format="PNG", exif=exif)
    with Image.open(image_path(root)) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(pixels(root), expected)
    np.testing.assert_array_equal(mask(root), expected[:, :, 0] == 255)
    assert mask(root).shape == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))


def test_an_orientation_that_is_none_is_upright(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 0
    Image.fromarray(PHOTO).save(image_path(root), format="PNG", exif=exif)
    np.testing.assert_array_equal(pixels(root), PHOTO)


def test_a_palette_trimap_holds_its_indices(root: Path) -> None:
    trimap = Image.fromarray(TRIMAP).convert("P")
    trimap.putdata(TRIMAP.ravel().tolist())
    trimap.save(root / f"trimaps/{NAME}.png")
    np.testing.assert_array_equal(mask(root), TRIMAP != 2)


def test_no_foreground_is_no_object(root: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 2).save(root / f"trimaps/{NAME}.png")
    (target,) = read(root).targets
    assert isinstance(target, ClassificationTarget)
    assert target.boxes is not None
    assert target.boxes.shape == (0, 4)
    assert not mask(root).any()


def _write(content: bytes) -> Save:
    def save(path: Path) -> None:
        path.write_bytes(content)

    return save


def _halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _damage_header(path: Path) -> None:
    """A PNG whose first chunk is not its header, which Pillow answers with a SyntaxError."""
    Image.fromarray(PHOTO).save(path, format="PNG")
    path.write_bytes(path.read_bytes().replace(b"IHDR", b"IHDX"))


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace(image: Image.Image, kind: str = "PNG") -> Save:
    return lambda path: image.save(path, format=kind)


def _cycle(path: Path) -> None:
    """A link to itself, which the file system refuses to open."""
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(("damage", "message"), [
    pytest.param(_write(b""), r"images/Bengal_1\.jpg is empty \(0 bytes\)", id="zero bytes"),
    pytest.param(_write(b"<html>404"), r"images/Bengal_1\.jpg is damaged or no image: cannot identify", id="html"),
    pytest.param(_halve, r"images/Bengal_1\.jpg is damaged or no image: .*(?i:truncated)", id="truncated"),
    pytest.param(_damage_header, r"images/Bengal_1\.jpg is damaged or no image", id="damaged header"),
    pytest.param(Path.unlink, r"images/Bengal_1\.jpg does not exist", id="missing"),
    pytest.param(_make_folder, r"images/Bengal_1\.jpg does not exist", id="folder"),
    pytest.param(_cycle, r"images/Bengal_1\.jpg does not exist", id="link to itself"),
    pytest.param(_replace(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), "defined range.*mode F", id="float"),
    pytest.param(_replace(Image.new("RGB", (5, 7))), "has 5 x 7 pixels, its trimap .* has 16 x 24", id="size"),
])
def test_a_photograph_that_can_not_be_read_is_reported(root: Path, damage: Save, message: str) -> None:
    damage(image_path(root))
    found = reason(root)
    assert re.search(message, found), found
    assert str(root) not in found


@pytest.mark.parametrize(("damage", "message"), [
    pytest.param(Path.unlink, r"trimaps/Bengal_1\.png does not exist", id="missing"),
    pytest.param(_write(b""), r"trimaps/Bengal_1\.png is empty", id="zero bytes"),
    pytest.param(_halve, r"trimaps/Bengal_1\.png is damaged or no image", id="truncated"),
    pytest.param(_replace(Image.new("L", (WIDTH, 5), 2)), "trimap .* has 16 x 5", id="other size"),
    pytest.param(_replace(Image.new("L", (WIDTH, HEIGHT), 255)), "has the values 255; known are 1, 2", id="values"),
    pytest.param(_replace(Image.new("RGB", (WIDTH, HEIGHT))), r"is a color image \(mode RGB\)", id="colors"),
])
def test_a_trimap_that_can_not_be_read_is_reported(root: Path, damage: Save, message: str) -> None:
    damage(root / f"trimaps/{NAME}.png")
    found = reason(root)
    assert re.search(message, found), found
    assert str(root) not in found


def test_a_name_without_number_is_reported_even_when_breeds_are_selected(root: Path) -> None:
    image_path(root).rename(root / "images/Bengal.jpg")
    (root / f"trimaps/{NAME}.png").rename(root / "trimaps/Bengal.png")
    Image.fromarray(PHOTO).save(root / "images/Bengal_2.jpg")
    Image.fromarray(TRIMAP).save(root / "trimaps/Bengal_2.png")
    (batch,) = OxfordPet(OxfordPetParams(root=root, breeds=["Bengal"])).batches(8)
    assert batch.ids == ["Bengal_2"]
    assert [item.id for item in batch.unreadable] == ["Bengal"]
    assert "<breed>_<number>" in batch.unreadable[0].reason


def test_readable_samples_keep_their_places_beside_unreadable_ones(root: Path) -> None:
    for number in range(2, 6):
        Image.fromarray(PHOTO).save(root / f"images/Bengal_{number}.jpg")
        Image.fromarray(TRIMAP).save(root / f"trimaps/Bengal_{number}.png")
    (root / "images/Bengal_3.jpg").write_bytes(b"")
    (root / "images/Bengal_5.jpg").unlink()
    data = OxfordPet(OxfordPetParams(root=root))
    batches = list(data.batches(2))
    assert len(data) == 5
    assert [batch.ids for batch in batches] == [["Bengal_1", "Bengal_2"], ["Bengal_4"], []]
    assert [item.id for batch in batches for item in batch.unreadable] == ["Bengal_3", "Bengal_5"]
