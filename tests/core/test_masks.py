"""Class maps: from logits to native pixels, and stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.card import InputSpec
from harness.geometry import Fit, Size, fit_image
from harness.masks import NONE, classes, native_classes, pack_masks, unpack_mask
from harness.table import Table


def test_maps_of_different_sizes_survive_the_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.integers(-1, 300, (h, w)).astype(np.int16) for h, w in ((3, 5), (1, 1), (40, 7))]
    table = Table.concat([Table(pack_masks(maps[:1])), Table(pack_masks(maps[1:]))])
    table.save(tmp_path / "maps.npz")
    stored = Table.load(tmp_path / "maps.npz").take(np.array([2, 0, 1]))
    for row, index in enumerate((2, 0, 1)):
        np.testing.assert_array_equal(unpack_mask(stored, row), maps[index])


def test_a_map_is_much_smaller_than_its_pixels() -> None:
    y, x = np.mgrid[:1000, :1000]
    disc = (np.hypot(y - 500, x - 500) < 300).astype(np.int16)
    assert len(pack_masks([disc])["mask"][0]) < 20_000  # type: ignore[arg-type]


def test_classes_of_one_and_of_several_channels() -> None:
    assert classes(np.array([[[-1.0, 0.0, 0.1]]])).tolist() == [[0, 0, 1]]
    assert classes(np.array([[[1.0, 2.0]], [[1.0, 3.0]], [[0.0, 3.0]]])).tolist() == [[0, 1]]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_stretched_maps_are_torchs_bilinear_interpolation(height: int, width: int, channels: int, seed: int) -> None:
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(seed).normal(size=(channels, 12, 9)).astype(np.float32)
    fit = Fit(Size(height, width), Size(12, 9), 9 / width, 12 / height, 0, 0)
    whole = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], (height, width), mode="bilinear")[0].numpy()
    best = np.sort(whole, axis=0) if channels > 1 else np.abs(whole)
    clear = (best[-1] - best[-2] if channels > 1 else best[0]) > 1e-4
    np.testing.assert_array_equal(native_classes(logits, fit)[clear], classes(whole)[clear])


def test_what_a_crop_leaves_out_has_no_class() -> None:
    _, fit = fit_image(np.zeros((10, 30, 1), np.uint8), InputSpec(size=(10, 10), fit="crop", color="GRAY"))
    found = native_classes(np.ones((1, 10, 10), np.float32), fit)
    assert (found[:, 10:20] == 1).all()
    assert (found[:, :10] == NONE).all()
    assert (found[:, 20:] == NONE).all()


def test_an_output_without_its_margin() -> None:
    """A network without padding answers for the inner pixels; mirrored inputs make these the whole image."""
    image = np.random.default_rng(0).integers(0, 2, (6, 8, 1), np.uint8)
    placed, fit = fit_image(image, InputSpec(size=(14, 16), fit="tile", color="GRAY"))
    logits = placed[4:-4, 4:-4, 0].astype(np.float32) - 0.5
    np.testing.assert_array_equal(native_classes(logits[None], fit, margin=4), image[:, :, 0])
    assert (native_classes(logits[None, 1:-1, 1:-1], fit, margin=5)[0] == NONE).all()
