"""What a recipe can say: length, schedule, clipping, early stopping, precision; and that it can be repeated."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file  # noqa: E402

from harness import checkpoint  # noqa: E402
from harness.errors import UsageError  # noqa: E402
from harness.export import CAM_LAYER, export  # noqa: E402
from harness.train import TrainingError, train  # noqa: E402

FULL = {"schedule": "one-cycle", "weight_decay": 0.01, "optimizer": "adamw", "clip_norm": 1.0, "precision": "bf16"}


class Recorder:
    def __init__(self, act=None):
        self.batches, self.epochs, self.act = [], [], act or {}

    def batch(self, epoch, done, total):
        self.batches.append((epoch, done, total))
        if (epoch, done) in self.act:
            self.act[epoch, done]()

    def epoch(self, row, epochs):
        self.epochs.append((row.epoch, epochs))


def same(first: Path, second: Path) -> bool:
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", [{}, FULL, {"schedule": "cosine", "warmup": 0.2}])
def test_two_trainings_are_equal_bit_for_bit(classification_host, small_job, tmp_path, recipe):
    for name in "ab":
        train(classification_host, small_job(tmp_path / name, **recipe))
    for file in (checkpoint.BEST, checkpoint.LAST):
        assert same(tmp_path / "a" / file, tmp_path / "b" / file)


@pytest.mark.parametrize("change", [{"schedule": "constant"}, {"weight_decay": 0.5}, {"clip_norm": 1e-3},
                                    {"precision": "fp32"}, {"lr": 1e-4}])
def test_every_setting_has_an_effect(classification_host, small_job, tmp_path, change):
    train(classification_host, small_job(tmp_path / "a", **FULL))
    train(classification_host, small_job(tmp_path / "b", **{**FULL, **change}))
    assert not same(tmp_path / "a" / checkpoint.LAST, tmp_path / "b" / checkpoint.LAST)


def test_steps_decide_the_length(classification_host, small_job, tmp_path):
    recorder = Recorder()
    record = train(classification_host, small_job(tmp_path, steps=7), progress=recorder)
    assert recorder.batches == [(1, done, 5) for done in range(1, 6)] + [(2, 1, 2), (2, 2, 2)]
    assert recorder.epochs == [(1, 2), (2, 2)]
    assert len(record.history) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
import harness_classification
from harness.specs import ModelSpec
from harness.host import Host
from harness.train import Job, create_model, merge_recipe, train
from harness.trainable import Recipe

class Killer:
    def batch(self, epoch, done, total):
        if (epoch, done) == (2, 3):
            os.kill(os.getpid(), signal.SIGKILL)
    def epoch(self, row, epochs):
        pass

host = Host.of(harness_classification)
spec = host.spec(ModelSpec, "cam-cnn")
params = spec.params.model_validate_json(sys.argv[2])
recipe = spec.recipe.model_validate_json(sys.argv[3])
train(host, Job("small", spec, params, recipe, Path(sys.argv[1])), progress=Killer())
"""


def test_killed_in_the_middle_of_an_epoch_it_goes_on_to_the_same_result(classification_host, small_job, tmp_path):
    whole = train(classification_host, small_job(tmp_path / "whole", **FULL))
    job = small_job(tmp_path / "killed", **FULL)
    done = subprocess.run([sys.executable, "-c", KILLED, job.folder, job.params.model_dump_json(),
                           job.recipe.model_dump_json()], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(checkpoint.load_record(job.folder).history) == 1
    assert not list(job.folder.glob(".*")), "no half-written file"
    torch.manual_seed(1)
    resumed = train(classification_host, job, resume=True)
    for file in (checkpoint.BEST, checkpoint.LAST):
        assert same(tmp_path / "whole" / file, job.folder / file)
    assert [(row.train_loss, row.val_loss) for row in resumed.history] == \
           [(row.train_loss, row.val_loss) for row in whole.history]


def test_with_a_schedule_the_length_belongs_to_the_recipe(classification_host, small_job, tmp_path):
    train(classification_host, small_job(tmp_path, schedule="cosine", epochs=1))
    with pytest.raises(UsageError, match=r"train\.epochs = 1 in the checkpoint, 2 now"):
        train(classification_host, small_job(tmp_path, schedule="cosine", epochs=2), resume=True)


def test_early_stopping_and_resuming_it(classification_host, small_job, tmp_path):
    settings = {"epochs": 40, "patience": 2, "lr": 0.3, "schedule": "constant"}
    record = train(classification_host, small_job(tmp_path, **settings))
    assert len(record.history) == record.best_epoch + 2 < 40
    recorder = Recorder()
    train(classification_host, small_job(tmp_path, **settings), resume=True, progress=recorder)
    assert recorder.epochs == []


@pytest.mark.parametrize("recipe", [{"lr": 1e38, "optimizer": "sgd", "schedule": "constant"}])
def test_a_batch_whose_loss_is_not_finite_is_saved_and_named(classification_host, small_job, tmp_path, recipe):
    with pytest.raises(TrainingError) as error:
        train(classification_host, small_job(tmp_path, **recipe))
    path = tmp_path / "nonfinite.npz"
    assert f"the batch is in {path}" in str(error.value)
    with np.load(path, allow_pickle=False) as batch:
        assert batch["inputs"].shape == (4, 3, 32, 32)
        assert batch["pixels"].shape == (4, 32, 32, 3)
        assert all(id_ in str(error.value) for id_ in batch["ids"])


def test_no_epochs_export_the_weights_to_start_from(classification_host, small_job, tmp_path):
    from safetensors.torch import load_file as load_tensors

    first = small_job(tmp_path / "first")
    train(classification_host, first)
    weights = first.folder / checkpoint.BEST
    job = small_job(tmp_path / "second", params={"weights": str(weights)}, epochs=0)
    assert train(classification_host, job).history == []
    assert same(weights, job.folder / checkpoint.BEST)
    record = export(classification_host, job.folder, tmp_path / "exports")
    assert record.best_epoch is None
    assert load_tensors(weights)


@pytest.mark.parametrize("name", ["cam-cnn", "vgg", "resnet"])
def test_the_export_names_the_layer_to_explain(classification_host, small_job, small_trained, tmp_path, name):
    """The tensor is the one before the pooling: from it alone, numpy gets to the logits of cam-cnn."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    from harness.evaluate import card_of

    folder = small_trained
    if name != "cam-cnn":
        folder = tmp_path / "checkpoints"
        train(classification_host, small_job(folder, name=name, epochs=0))
    export(classification_host, folder, tmp_path / "exports", id_=name)
    path = tmp_path / "exports" / name / "model.fp32.onnx"
    assert card_of(path).cam_layer == CAM_LAYER
    assert card_of(path).labels == ["cross", "disc", "ring", "square", "star", "triangle"]
    model = onnx.load(path)
    (node,) = [node for node in model.graph.node if CAM_LAYER in node.output]
    assert node.op_type == "Relu"
    if name == "cam-cnn":
        model.graph.output.append(onnx.helper.make_tensor_value_info(CAM_LAYER, onnx.TensorProto.FLOAT, None))
        image = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
        logits, maps = ReferenceEvaluator(model).run(None, {"image": image})
        assert maps.shape == (2, 8, 8, 8)
        weights = load_file(folder / checkpoint.BEST)
        expected = maps.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_device_that_is_not_there_is_refused(classification_host, small_job, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UsageError, match=r'train\.device = "cuda": torch finds no CUDA device'):
        train(classification_host, small_job(tmp_path, device="cuda"))
