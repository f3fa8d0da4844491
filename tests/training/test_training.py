"""The training loop: it learns, repeats itself bit by bit, and goes on as if it had never stopped."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness import checkpoint  # noqa: E402
from harness.errors import ModelFileError, UsageError  # noqa: E402
from harness.train import TrainingError, train  # noqa: E402


def tensors(path):
    from safetensors.numpy import load_file

    return load_file(path)


def assert_same_tensors(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


class Recorder:
    def __init__(self, stop_at=None):
        self.batches, self.epochs, self.stop_at = [], [], stop_at

    def batch(self, epoch, done, total):
        self.batches.append((epoch, done, total))
        if (epoch, done) == self.stop_at:
            raise KeyboardInterrupt

    def epoch(self, row, epochs):
        self.epochs.append(row.epoch)


@pytest.mark.parametrize(("model", "params", "share"), [
    ("regressionnet", {}, 0.8), ("heatmapnet", {}, 0.8), ("heatmapnet", {"loss": "bce"}, 0.95)])
def test_the_loss_falls(keypoints_host, make_job, tmp_path, model, params, share):
    record = train(keypoints_host, make_job(tmp_path, model, params, epochs=3))
    losses = [row.train_loss for row in record.history]
    assert losses[-1] < share * losses[0]
    assert record.best_epoch == min(record.history, key=lambda row: row.val_loss).epoch


def test_progress_is_told_of_every_batch_and_epoch(keypoints_host, make_job, tmp_path):
    recorder = Recorder()
    train(keypoints_host, make_job(tmp_path), progress=recorder)
    assert recorder.batches == [(epoch, done, 3) for epoch in (1, 2) for done in (1, 2, 3)]
    assert recorder.epochs == [1, 2]


def test_two_trainings_are_equal_and_another_seed_is_not(keypoints_host, make_job, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(keypoints_host, make_job(tmp_path / name, seed=seed))
    first, second, other = (tensors(tmp_path / name / "best.safetensors") for name in "abc")
    assert_same_tensors(first, second)
    assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resuming_equals_not_stopping(keypoints_host, make_job, tmp_path, optimizer):
    """Interrupted in the middle of the second of three epochs."""
    settings = {"epochs": 3, "optimizer": optimizer}
    whole = train(keypoints_host, make_job(tmp_path / "whole", "heatmapnet", **settings))
    with pytest.raises(KeyboardInterrupt):
        train(keypoints_host, make_job(tmp_path / "parts", "heatmapnet", **settings), progress=Recorder((2, 2)))
    assert len(checkpoint.load_record(tmp_path / "parts").history) == 1
    torch.manual_seed(99)
    resumed = train(keypoints_host, make_job(tmp_path / "parts", "heatmapnet", **settings), resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert_same_tensors(tensors(tmp_path / "whole" / name), tensors(tmp_path / "parts" / name))
    assert [row.val_loss for row in resumed.history] == [row.val_loss for row in whole.history]


def test_interrupted_in_the_first_epoch_there_is_a_checkpoint(keypoints_host, make_job, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(keypoints_host, make_job(tmp_path), progress=Recorder((1, 1)))
    record = train(keypoints_host, make_job(tmp_path), resume=True)
    assert [row.epoch for row in record.history] == [1, 2]


def test_more_epochs_continue_a_finished_training(keypoints_host, make_job, tmp_path):
    train(keypoints_host, make_job(tmp_path, epochs=1))
    recorder = Recorder()
    train(keypoints_host, make_job(tmp_path, epochs=2), resume=True, progress=recorder)
    assert recorder.epochs == [2]
    recorder = Recorder()
    train(keypoints_host, make_job(tmp_path, epochs=2), resume=True, progress=recorder)
    assert recorder.epochs == []


def test_a_checkpoint_of_another_recipe_is_not_resumed(keypoints_host, make_job, tmp_path):
    train(keypoints_host, make_job(tmp_path, epochs=1))
    with pytest.raises(UsageError, match=r"train\.lr = 0\.001 in the checkpoint, 0\.01 now"):
        train(keypoints_host, make_job(tmp_path, lr=0.01), resume=True)


def test_a_loss_that_is_not_finite_stops_with_the_batch(keypoints_host, make_job, tmp_path):
    with pytest.raises(TrainingError, match=r"regressionnet: the loss is .* in epoch 1, batch 2 of 3 .*train-000"):
        train(keypoints_host, make_job(tmp_path, optimizer="sgd", lr=1e38))


def test_a_damaged_checkpoint_is_named(keypoints_host, make_job, tmp_path):
    train(keypoints_host, make_job(tmp_path, epochs=1))
    path = tmp_path / "last.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match=r"last\.safetensors: can not be read"):
        train(keypoints_host, make_job(tmp_path), resume=True)


def test_the_record_is_plain_json_and_complete(trained):
    data = json.loads((trained / "training.json").read_text())
    assert data["schema"] == 1
    assert data["model"] == "heatmapnet"
    assert data["params"]["decoder"] == "log-quadratic"
    assert data["recipe"]["train_count"] == 160
    assert [row["epoch"] for row in data["history"]] == [1, 2]
    assert set(data["history"][0]) == {"epoch", "train_loss", "val_loss", "seconds"}
    assert "torch" in data["producer"]


def test_snapshots_are_the_heatmaps_of_four_validation_figures(trained):
    snapshots = checkpoint.load_snapshots(trained / "last.safetensors")
    assert snapshots["maps"].shape == (2, 4, 5, 64, 64)
    assert snapshots["maps"].dtype == np.uint8
    assert snapshots["maps"].max() == 255
    assert (snapshots["range"][:, 0] < snapshots["range"][:, 1]).all()
    assert snapshots["epoch"].tolist() == [1, 2]


def test_a_wrong_recipe_key_is_named(make_job, tmp_path):
    with pytest.raises(UsageError, match=r"epochz"):
        make_job(tmp_path, epochz=3)


def test_the_best_weights_are_those_of_the_best_epoch(keypoints_host, make_job, tmp_path):
    """Trained only up to the best epoch, the last weights are the best ones."""
    record = train(keypoints_host, make_job(tmp_path / "long", epochs=4, lr=0.02))
    train(keypoints_host, make_job(tmp_path / "short", epochs=record.best_epoch, lr=0.02))
    last = tensors(tmp_path / "short" / "last.safetensors")
    best = tensors(tmp_path / "long" / "best.safetensors")
    weights = {name.removeprefix("model."): value for name, value in last.items() if name.startswith("model.")}
    assert_same_tensors(weights, best)
