"""Reading ahead changes nothing but the time: rows, order and errors are those of one batch after the other."""

import numpy as np
import pytest

from harness import quality
from harness.table import Table


def serial(items, depth=1):
    return iter(items)


def outcome(lab, text, output):
    """The only cell, its rows, and the order in which samples were read and measured."""
    (cell,) = lab.run(text, output=output, cache=f"cache-{output}").results.cells
    rows = {name: Table.load(lab.folder / output / file) for name, file in cell.files.items()
            if name.startswith("rows.")}
    return cell, {name: {key: table.dense(key) for key in table} for name, table in rows.items()}


@pytest.mark.parametrize("change", [("", ""), ("count = 12", "count = 3"), ("count = 12", "unreadable = [0, 5, 11]"),
                                    ('metrics = ["top"]', 'metrics = ["top", "nll", "ece"]')])
@pytest.mark.parametrize("batch", ['"auto"', 1, 5])
def test_rows_and_numbers_are_those_of_the_serial_path(lab, monkeypatch, change, batch):
    text = (lab.suite.replace('use = "lab-colors"', 'use = "lab-colors"\ncount = 12') + lab.bench).replace(*change)
    text = text.replace('models = ["mean"]', f'models = ["mean"]\nbatch_size = {batch}')
    ahead, ahead_rows = outcome(lab, text, "ahead")
    monkeypatch.setattr(quality, "prefetched", serial)
    alone, alone_rows = outcome(lab, text, "alone")
    assert ahead.status == "ok"
    assert (ahead.metrics, ahead.curves, ahead.reason) == (alone.metrics, alone.curves, alone.reason)
    assert ahead_rows.keys() == alone_rows.keys()
    for name, columns in ahead_rows.items():
        for key, values in columns.items():
            np.testing.assert_array_equal(values, alone_rows[name][key])


@pytest.mark.parametrize("path", ["ahead", "serial"])
def test_an_error_of_the_loader_comes_at_its_sample(lab, monkeypatch, path):
    """The batches before it went through the model; the error names the dataset's plugin."""
    if path == "serial":
        monkeypatch.setattr(quality, "prefetched", serial)
    text = (lab.suite + lab.bench).replace('use = "lab-colors"', 'use = "lab-colors"\nfails = "stream"')
    (cell,) = lab.run(text.replace('models = ["mean"]', 'models = ["mean"]\nbatch_size = 4')).results.cells
    assert cell.status == "failed"
    assert cell.error.message == "the tape broke"
    assert 'in dataset "lab-colors" of plugin lab' in cell.error.where
    assert lab.forward_passes == 4
