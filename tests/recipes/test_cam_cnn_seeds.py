"""cam-cnn on unseen scenes, mean of three seeds. Minutes each."""

import pytest

pytest.importorskip("torch")

from harness.export import export
from harness.specs import ModelSpec
from harness.train import Job, create_model, merge_recipe, train

pytestmark = pytest.mark.slow


def test_top_1_on_unseen_scenes(classification_host, tmp_path):
    spec, found = classification_host.spec(ModelSpec, "cam-cnn"), []
    for seed in (0, 1, 2):
        recipe = merge_recipe(create_model(spec, spec.params()), {"seed": seed})
        folder = tmp_path / f"checkpoints-{seed}"
        train(classification_host, Job("cam-cnn", spec, spec.params(), recipe, folder))
        record = export(classification_host, folder, tmp_path / f"exports-{seed}")
        found.append(record.accuracy["top-k@1"].value)
    assert sum(found) / len(found) >= 0.96, found
    assert min(found) >= 0.95
