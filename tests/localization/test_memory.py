"""Maps are streamed: what is kept of each is a short row."""

import numpy as np
import psutil
import pytest
from scipy.ndimage import gaussian_filter

from harness.host import create
from harness.table import Ragged
from harness_saliency_metrics.localization import METRICS

SIDE, BATCH = 224, 16


def measure(metrics, batch, seed):
    """Rows of one batch by metric."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 8).astype(np.float32)
    maps = [np.roll(noise, (7 * index, 11 * index), (0, 1)) for index in range(BATCH)]
    mask = np.zeros((SIDE, SIDE), bool)
    mask[50:150, 60:180] = True
    inputs = np.broadcast_to(np.ones((1, 3, 1, 1), np.float32), (BATCH, 3, SIDE, SIDE))
    samples = batch(maps, boxes=[[(60, 50, 180, 150)]] * BATCH, masks=[mask] * BATCH, inputs=inputs,
                    predict=lambda x: np.zeros((len(x), 2), np.float32))
    return [metric.measure(samples) for metric in metrics]


def localization():
    return [create(spec, spec.params()) for spec in METRICS if "warping" not in spec.name]


def test_rows_are_short(batch):
    for rows in measure(localization(), batch, 0):
        size = sum((column.values if isinstance(column, Ragged) else column).nbytes for column in rows.values())
        assert size / BATCH <= 2000


@pytest.mark.slow
def test_ten_thousand_maps_take_no_more_memory_than_five_hundred(batch, record_property):
    metrics, process = localization(), psutil.Process()
    used = []
    for index in range(10_000 // BATCH):
        measure(metrics, batch, index)
        used.append(process.memory_info().rss)
    early = max(used[: 500 // BATCH])
    record_property("peak_rss_mb", [round(early / 1e6, 1), round(max(used) / 1e6, 1)])
    assert max(used) - early < 20e6, f"{early / 1e6:.0f} MB, then {max(used) / 1e6:.0f} MB"
