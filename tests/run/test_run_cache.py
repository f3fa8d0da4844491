"""What is measured again and what is not."""

import pytest


def only(outcome):
    (cell,) = outcome.results.cells
    assert cell.status == "ok", cell
    return cell


TWO = 'metrics = ["top"]', 'metrics = ["top", "nll", "brier"]'


def test_one_forward_pass_serves_all_metrics(lab):
    cell = only(lab.run((lab.suite + lab.bench).replace(*TWO)))
    assert {"top@1", "top@2", "nll", "brier"} <= set(cell.metrics)
    assert lab.forward_passes == 12
    assert (cell.cost.forward_passes, cell.cached) == (12, False)
    assert cell.metrics["top@1"].value == pytest.approx(10 / 12)  # the squares 4 and 9 have the color of another label


def test_a_second_run_is_cached_and_equal(lab):
    first = only(lab.run())
    second = only(lab.run(output="again"))
    assert lab.forward_passes == 0
    assert (second.cached, second.cost.forward_passes) == (True, 0)
    assert second.metrics == first.metrics
    assert (second.id, second.runs_on, second.reason) == (first.id, first.runs_on, first.reason)
    assert set(second.files) == set(first.files)


def test_a_new_metric_costs_no_forward_pass(lab):
    first = only(lab.run())
    second = only(lab.run((lab.suite + lab.bench).replace(*TWO), output="again"))
    assert lab.forward_passes == 0
    assert second.cached
    assert second.metrics["top@1"] == first.metrics["top@1"]
    alone = only(lab.run((lab.suite + lab.bench).replace(*TWO), output="alone", cache="other"))
    assert lab.forward_passes == 12
    assert alone.metrics == second.metrics


def test_fresh_measures_again_and_feeds_the_cache(lab):
    lab.run()
    fresh = only(lab.run(output="again", fresh=True))
    assert (lab.forward_passes, fresh.cached) == (12, False)
    lab.run(output="third")
    assert lab.forward_passes == 0


def test_the_same_folder_is_measured_again_from_the_cache(lab):
    lab.run()
    again = only(lab.run())
    assert again.cached
    assert len(lab.lines()) == 1


@pytest.mark.parametrize(("change", "passes"), [
    (('use = "lab-colors"', 'use = "lab-colors"\nseed = 1'), 12),
    (('use = "lab-colors"', 'use = "lab-colors"\ncount = 6'), 6),
    (('use = "lab-colors"', 'use = "lab-colors"\ntransforms = [{ kind = "blur", sigma = 1.0 }]'), 12),
    (("range = [0.0, 1.0]", "range = [-1.0, 1.0]"), 12),
    (('name = "lab"', 'name = "lab"\nseed = 3'), 0),
    (("k = [1, 2]", "k = [1]"), 0),
    (('name = "lab"', 'name = "other"'), 0),
    (('models = ["mean"]', 'models = ["mean"]\nbatch_size = 5'), 0),
])
def test_a_change_of_the_suite_invalidates_what_depends_on_it(lab, change, passes):
    text = lab.suite + lab.bench
    assert change[0] in text
    before = only(lab.run(text))
    after = only(lab.run(text.replace(*change), output="again"))
    assert lab.forward_passes == passes
    assert after.cached == (passes == 0)
    if 'name = "other"' in change[1] or "batch_size" in change[1]:
        assert (after.id, after.metrics) == (before.id, before.metrics)
    else:
        assert after.id != before.id


def test_another_suite_seed_moves_only_the_intervals(lab):
    before = only(lab.run())
    after = only(lab.run((lab.suite + lab.bench).replace('name = "lab"', 'name = "lab"\nseed = 3'), output="again"))
    assert after.metrics["top@1"].value == before.metrics["top@1"].value
    assert (before.seed, after.seed) == (0, 3)


def test_another_model_file_is_another_result(lab):
    before = only(lab.run())
    lab.classifier("mean", bias=9.0)
    after = only(lab.run(output="again"))
    assert lab.forward_passes == 12
    assert after.id != before.id
    assert after.metrics["top@1"].value == pytest.approx(4 / 12)  # it says red to everything


def test_a_copy_of_the_model_under_another_name_is_the_same_model(lab):
    lab.run()
    (lab.folder / "copy.onnx").write_bytes((lab.folder / "mean.onnx").read_bytes())
    renamed = (lab.suite + lab.bench).replace('"mean.onnx"', '"copy.onnx"')
    only(lab.run(renamed, output="again"))
    assert lab.forward_passes == 0


def test_a_damaged_cache_is_measured_again(lab):
    first = only(lab.run())
    for file in (lab.folder / "cache").rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:40])
    second = only(lab.run(output="again"))
    assert lab.forward_passes == 12
    assert second.metrics == first.metrics


def test_latency_is_never_cached(lab):
    text = lab.suite + """
[[bench]]
models = ["mean"]
latency = [{ scenario = "single-stream", min_queries = 20, min_duration_s = 0.0, max_warmup_s = 0.1 }]
"""
    first, second = only(lab.run(text)), only(lab.run(text, output="again"))
    assert not first.cached
    assert not second.cached
    assert first.id == second.id
    assert first.latency.mean_ms != second.latency.mean_ms
