"""Heatmaps and activations of the samples that are shown."""

import json

import numpy as np
from PIL import Image

from harness.card import InputSpec, ModelCard
from harness.innermaps import Keeper, maps_of
from harness.table import Table
from harness.tasks import TASKS, KeypointsTarget
from harness.thumbnails import Writer


def test_maps_of_the_wanted_rows_are_kept_whatever_the_batches():
    heatmaps = np.random.default_rng(0).random((10, 3, 4, 5), np.float32)
    outputs = {"keypoints": np.zeros((10, 3, 2), np.float32), "heatmaps": heatmaps}
    tables = []
    for size in (1, 3, 10):
        keeper = Keeper(TASKS["keypoints"], {0, 4, 9})
        for start in range(0, 10, size):
            batch = {name: array[start : start + size] for name, array in outputs.items()}
            keeper.see(batch, len(batch["heatmaps"]))
        tables.append(keeper.table())
    for table in tables:
        assert set(table) == {"row", "heatmaps"}
        assert table.dense("row").tolist() == [0, 4, 9]
        np.testing.assert_allclose(table.dense("heatmaps"), heatmaps[[0, 4, 9]], atol=1e-3)
    found = maps_of(tables[0], 4, TASKS["keypoints"], (4, 5))
    np.testing.assert_allclose(found["heatmaps"], heatmaps[4].max(axis=0), atol=1e-3)
    assert maps_of(tables[0], 5, TASKS["keypoints"], (4, 5)) == maps_of(None, 4, TASKS["keypoints"], (4, 5)) == {}


def test_levels_are_shown_each_and_tasks_without_maps_keep_nothing():
    activations = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    keeper = Keeper(TASKS["detection"], {1})
    keeper.see({"activations": activations}, 2)
    found = maps_of(keeper.table(), 1, TASKS["detection"], (8, 8))
    assert list(found) == ["activations 0", "activations 1", "activations 2"]
    assert all(map_.shape == (8, 8) for map_ in found.values())
    plain = Keeper(TASKS["classification"], {0})
    plain.see({"logits": np.zeros((2, 3))}, 2)
    assert plain.table() is None


def test_a_thumbnail_shows_where_the_heatmap_peaks(tmp_path):
    card = ModelCard(task="keypoints", input=InputSpec(size=(32, 32), color="GRAY"))
    heatmaps = np.zeros((1, 2, 8, 8), np.float32)
    heatmaps[0, 1, 6, 1] = 1
    keeper = Keeper(TASKS["keypoints"], {0})
    keeper.see({"heatmaps": heatmaps}, 1)
    writer = Writer(tmp_path, card)
    target = KeypointsTarget(points=np.zeros((2, 2), np.float32), visible=np.ones(2, np.bool_))
    predictions = Table({"keypoints": np.zeros((1, 2, 2), np.float32)})
    writer.add("one", np.full((64, 64, 1), 90, np.uint8), target, predictions, 0, inner=keeper.table())
    writer.close()
    ((entry,),) = [json.loads((tmp_path / "index.json").read_text())]
    assert [each["name"] for each in entry["maps"]] == ["heatmaps"]
    picture = np.asarray(Image.open(tmp_path / entry["maps"][0]["file"]).convert("L")).astype(float)
    assert picture.shape == (64, 64)
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert abs(row - 52) < 6
    assert abs(column - 12) < 6
