"""Small trainings and exports, made once."""

import shutil
from pathlib import Path

import pytest

SMALL = {"train_count": 24, "val_count": 6, "test_count": 30, "epochs": 2, "batch_size": 8}


@pytest.fixture(scope="session")
def keypoints_host():
    import harness_keypoints
    from harness.host import Host

    return Host.of(harness_keypoints)


@pytest.fixture(scope="session")
def make_job(keypoints_host):
    """make_job(folder, model, params, **recipe): a training of seconds."""
    pytest.importorskip("torch")
    from harness.specs import ModelSpec
    from harness.train import Job, create_model, merge_recipe

    def make(folder: Path, name: str = "regressionnet", params: dict | None = None, **recipe: object) -> Job:
        spec = keypoints_host.spec(ModelSpec, name)
        validated = spec.params(**(params or {}))
        merged = merge_recipe(create_model(spec, validated), {**SMALL, **recipe})
        return Job(name, spec, validated, merged, folder)

    return make


@pytest.fixture(scope="session")
def trained(keypoints_host, make_job, tmp_path_factory) -> Path:
    """Checkpoint folder of a HeatmapNet after two short epochs, just enough for its maps to have a peak."""
    from harness.train import train

    folder = tmp_path_factory.mktemp("trained") / "checkpoints"
    train(keypoints_host, make_job(folder, "heatmapnet", train_count=160, batch_size=4))
    return folder


@pytest.fixture(scope="session")
def exported(keypoints_host, trained) -> Path:
    """The export of `trained`; not to be changed."""
    from harness.export import export

    output = trained.parent / "exports"
    export(keypoints_host, trained, output)
    return output / "heatmapnet"


@pytest.fixture
def own_export(exported, tmp_path) -> Path:
    """A copy of `exported` to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "exports" / "heatmapnet"))
