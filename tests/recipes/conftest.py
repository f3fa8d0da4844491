"""A network that trains in a second."""

from pathlib import Path

import pytest

SMALL = {"train_count": 20, "val_count": 6, "test_count": 12, "epochs": 3, "batch_size": 4,
         "dataset_params": {"size": 32}, "metrics": {"top-k": {"k": [1]}}}


@pytest.fixture(scope="session")
def classification_host():
    import harness_classification
    from harness.host import Host

    return Host.of(harness_classification)


@pytest.fixture(scope="session")
def small_job(classification_host):
    """small_job(folder, **recipe): cam-cnn with two stages on 32x32 scenes; five steps an epoch."""
    pytest.importorskip("torch")
    from harness.specs import ModelSpec
    from harness.train import Job, create_model, merge_recipe

    def make(folder: Path, params: dict | None = None, name: str = "cam-cnn", **recipe: object) -> Job:
        spec = classification_host.spec(ModelSpec, name)
        given = {"size": 32, "widths": [4, 8]} if name == "cam-cnn" else {"size": 32, "width": 0.05}
        validated = spec.params(**given, **(params or {}))
        merged = merge_recipe(create_model(spec, validated), {**SMALL, **recipe})
        return Job("small", spec, validated, merged, folder)

    return make


@pytest.fixture(scope="session")
def small_trained(classification_host, small_job, tmp_path_factory) -> Path:
    from harness.train import train

    folder = tmp_path_factory.mktemp("small") / "checkpoints"
    train(classification_host, small_job(folder))
    return folder
