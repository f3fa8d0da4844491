"""The experiment the vertical exists for: heatmaps against coordinates, mean of three seeds. About half an hour."""

import pytest

pytest.importorskip("torch")

from harness.export import export
from harness.host import Host
from harness.specs import ModelSpec
from harness.train import Job, create_model, merge_recipe, train

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory):
    """Mean over the seeds by model (and decoder) and result name."""
    host, folder = Host.discover(), tmp_path_factory.mktemp("seeds")

    def measured(name, seed, **changes):
        spec = host.spec(ModelSpec, name)
        checkpoints = folder / f"{name}-{seed}"
        if not checkpoints.exists():
            params = spec.params()
            recipe = merge_recipe(create_model(spec, params), {"seed": seed})
            train(host, Job(name, spec, params, recipe, checkpoints))
        return export(host, checkpoints, folder / "exports", changes=changes).accuracy

    def mean(name, **changes):
        runs = [measured(name, seed, **changes) for seed in SEEDS]
        return {key: sum(run[key].value for run in runs) / len(runs) for key in runs[0]}

    return {
        "heatmapnet": mean("heatmapnet"),
        "argmax": mean("heatmapnet", decoder="argmax"),
        "dark": mean("heatmapnet", decoder="dark"),
        "regressionnet": mean("regressionnet"),
    }


def test_heatmaps_are_accurate(accuracies):
    assert accuracies["heatmapnet"]["pck@0.05"] >= 0.989
    assert accuracies["heatmapnet"]["pck@0.2"] >= 0.998


def test_coordinates_are_far_behind(accuracies):
    assert accuracies["heatmapnet"]["pck@0.05"] - accuracies["regressionnet"]["pck@0.05"] >= 0.25


def test_decoding_between_pixels_pays(accuracies):
    assert 0.8 <= accuracies["argmax"]["pck.mean-error"] <= 1.2
    for decoder in ("heatmapnet", "dark"):
        assert accuracies[decoder]["pck.mean-error"] < 0.65
