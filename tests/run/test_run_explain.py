"""Cells with saliency."""

import json

import numpy as np
import pytest
from PIL import Image

from harness.stats import stable_seed

EXPLAIN = """
[[explain]]
models = ["mean"]
datasets = ["colors"]
saliency = ["{saliency}"]
metrics = ["lab-maps"]
target = "{target}"
backends = ["logged"]
"""


def explain(lab, target="label", saliency="lab-noise", before="", **options):
    outcome = lab.run(lab.suite + before + EXPLAIN.format(saliency=saliency, target=target), **options)
    (cell,) = outcome.results.cells
    return outcome, cell


def rows(lab, cell, output="run"):
    with np.load(lab.folder / output / cell.files["rows.lab-maps"], allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_labels_are_explained_with_maps_of_the_inputs_size(lab):
    outcome, cell = explain(lab)
    assert (outcome.exit_code, cell.kind, cell.key) == (0, "explain", "explain/colors/mean/fp32/logged/lab-noise")
    assert (cell.saliency, cell.target) == ("lab-noise", "label")
    found = rows(lab, cell)
    assert found["shape"].tolist() == [[8, 8]] * 12
    assert found["class"].tolist() == [index % 3 for index in range(12)]
    # One pass to predict, one that the metric asked for.
    assert cell.cost.forward_passes == lab.forward_passes == 24
    assert cell.metrics["lab-maps"].unit == "saliency"


def test_the_predicted_class_is_explained_under_another_key(lab):
    _, cell = explain(lab, target="predicted")
    assert cell.key == "explain/colors/mean/fp32/logged/lab-noise@predicted"
    found = rows(lab, cell)
    _, labels = explain(lab, output="labels")
    right = rows(lab, labels, "labels")["class"] == found["class"]
    assert np.flatnonzero(~right).tolist() == [4, 9]
    assert (found["logit"] >= rows(lab, labels, "labels")["logit"]).all()


def test_a_label_without_a_class_is_an_error_only_when_labels_are_explained(lab):
    colors = 'use = "lab-colors"'
    lab.suite = lab.suite.replace(colors, colors + '\nlabel = "cyan"')
    outcome, cell = explain(lab)
    assert (outcome.exit_code, cell.status, cell.error.type) == (3, "failed", "TaskMismatch")
    assert '"cyan"' in cell.error.message
    assert "models.mean.classes" in cell.error.message
    assert explain(lab, target="predicted", output="predicted")[1].status == "ok"


def test_maps_of_a_wrong_shape_are_the_fault_of_the_generator(lab):
    outcome, cell = explain(lab, saliency="lab-narrow")
    assert (outcome.exit_code, cell.error.type) == (4, "PluginError")
    for word in ("lab-narrow", "lab (lab-harness 1.0)", "(12, 8, 7)", "(12, 8, 8)"):
        assert word in cell.error.message


def test_the_layer_of_a_saliency_table_overrides_that_of_the_model(lab):
    lab.suite = lab.suite.replace('task = "classification"', 'task = "classification"\ncam_layer = "means"')
    table = '[saliency.{name}]\nuse = "lab-noise"\nlayer = "constant"\n'
    _, cell = explain(lab, saliency="flat", before=table.format(name="flat"))
    assert cell.metrics["lab-maps"].value == 64
    _, cell = explain(lab, output="again")
    assert cell.metrics["lab-maps"].value < 64


def test_explanations_are_cached_by_seed_and_target(lab):
    _, first = explain(lab)
    _, again = explain(lab, output="again")
    assert (again.cached, lab.forward_passes, again.metrics) == (True, 0, first.metrics)
    _, predicted = explain(lab, target="predicted", output="predicted")
    assert not predicted.cached
    lab.suite = lab.suite.replace('name = "lab"', 'name = "lab"\nseed = 1')
    _, seeded = explain(lab, output="seeded")
    assert not seeded.cached
    assert seeded.metrics["lab-maps"].value != first.metrics["lab-maps"].value


def test_a_graph_generator_gets_images_classes_and_its_own_feeds(lab):
    _, cell = explain(lab, saliency="lab-graph")
    assert cell.status == "ok", cell.error
    found = rows(lab, cell)
    noise = found["sum"] - found["class"] * found["brightness"]  # 64 uniform numbers a sample
    assert ((noise > 20) & (noise < 44)).all()
    assert len(set(noise.round(4))) == 12
    assert cell.cost.map_ms > 0
    assert cell.cost.map_passes > 0


def test_maps_are_made_once_for_metrics_that_come_later(lab):
    lab.suite += '[metrics.more]\nuse = "lab-maps"\n'
    _, first = explain(lab)
    assert lab.forward_passes == 24
    more = EXPLAIN.replace('"lab-maps"', '"lab-maps", "more"').format(saliency="lab-noise", target="label")
    (again,) = lab.run(lab.suite + more, output="again").results.cells
    assert again.metrics["more"].value == first.metrics["lab-maps"].value
    assert again.cost.map_ms is None
    (fresh,) = lab.run(lab.suite + more, output="fresh", fresh=True).results.cells
    assert fresh.cost.map_ms > 0


@pytest.mark.parametrize("options", [{}, {"fresh": True}], ids=["first", "fresh"])
def test_thumbnails_show_the_map_over_the_picture(lab, options):
    lab.suite = lab.suite.replace('use = "lab-colors"', 'use = "lab-colors"\nunreadable = [0, 5]')
    for output in ("run", "again"):  # the second from the cache
        outcome, cell = explain(lab, output=output, **(options if output == "run" else {}))
        folder = outcome.directory / cell.files["thumbnails"]
        index = json.loads((folder / "index.json").read_text())
        assert len(index) == 10
        for entry in index:
            number = int(entry["id"].split("-")[1])
            saliency = entry["saliency"]
            assert (saliency["class"], saliency["label"]) == (number % 3, ("red", "green", "blue")[number % 3])
            noise = np.random.default_rng(stable_seed(0, entry["id"])).random((8, 8), np.float32)
            np.testing.assert_allclose(saliency["range"], [noise.min(), noise.max()], rtol=1e-5)
            with Image.open(folder / entry["overlay"]) as picture:
                assert picture.size == (8, 8)
    assert cell.cached


def test_a_metric_of_maps_does_not_belong_into_a_bench(lab, cli):
    text = lab.suite + lab.bench.replace('metrics = ["top"]', 'metrics = ["lab-maps"]')
    done = cli("validate", lab.write(text))
    assert done.code == 2
    assert "[[explain]]" in done.err


def test_both_kinds_stand_in_one_results_file(lab):
    lab.run(lab.suite + lab.bench + EXPLAIN.format(saliency="lab-noise", target="label"))
    found = json.loads((lab.folder / "run" / "results.json").read_text())["cells"]
    assert [cell["kind"] for cell in found] == ["accuracy", "explain"]
    assert [cell["target"] for cell in found] == [None, "label"]


@pytest.mark.parametrize("executor", ["local"])
def test_a_generator_in_a_worker_process(lab, executor):
    _, cell = explain(lab, executor=executor)
    assert cell.status == "ok", cell.error


def test_maps_made_elsewhere_are_found_by_id(lab):
    folder = lab.folder / "maps"
    folder.mkdir()
    for number in range(12):
        np.save(folder / f"square-{number}.npy", np.full((4, 4), number, np.uint8))  # scaled to 8 x 8
    table = '[saliency.theirs]\nuse = "precomputed"\npath = "maps/{id}.npy"\n'
    _, cell = explain(lab, saliency="theirs", before=table)
    assert rows(lab, cell)["sum"].tolist() == [64 * number for number in range(12)]
    _, again = explain(lab, saliency="theirs", before=table, output="again")
    assert again.cached
    np.save(folder / "square-3.npy", np.zeros((4, 4)))
    _, changed = explain(lab, saliency="theirs", before=table, output="changed")
    assert not changed.cached
    assert rows(lab, changed, "changed")["sum"][3] == 0
    (folder / "square-7.npy").unlink()
    outcome, failed = explain(lab, saliency="theirs", before=table, output="failed")
    assert (outcome.exit_code, failed.error.type) == (3, "DataError")
    assert "square-7" in failed.error.message
