"""The sheet of a training's snapshots."""

from pathlib import Path

import numpy as np
import pytest

from harness.epochs import epochs_sheet

EXPORTS = Path(__file__).parents[2] / "exports"


def snapshots(path, epochs=10):
    """One white spot that walks from the left to the right."""
    maps = np.zeros((epochs, 2, 2, 8, 8), np.uint8)
    for epoch in range(epochs):
        maps[epoch, :, 1, 4, min(7, epoch)] = 255
    images = np.full((2, 32, 32, 1), 90, np.uint8)
    np.savez(path, images=images, ids=np.array(["a", "b"]), epoch=np.arange(1, epochs + 1), maps=maps,
             range=np.tile(np.array([0, 1], np.float32), (epochs, 1)))
    return path


def test_columns_are_epochs_and_show_their_own_maps(tmp_path):
    sheet = epochs_sheet(snapshots(tmp_path / "s.npz")).astype(int).sum(axis=2)
    wide = epochs_sheet(snapshots(tmp_path / "few.npz", epochs=2))
    assert sheet.shape[1] > wide.shape[1]
    row = sheet[40:250]  # the first sample
    places = []
    for column in range(1, 7):
        left = 16 + column * (224 + 10)
        places.append(np.unravel_index(row[:, left : left + 224].argmax(), (len(row), 224))[1])
    assert places == sorted(places)
    assert places[0] < 50
    assert places[-1] > 174


@pytest.mark.parametrize("name", ["heatmapnet", "unet-cells"])
def test_shipped_trainings_have_one(name):
    sheet = epochs_sheet(EXPORTS / name / "snapshots.npz")
    assert sheet is not None
    assert sheet.std() > 20


def test_what_is_missing_or_damaged_gives_none(tmp_path):
    assert epochs_sheet(tmp_path / "absent.npz") is None
    (tmp_path / "cut.npz").write_bytes(b"PK")
    assert epochs_sheet(tmp_path / "cut.npz") is None
