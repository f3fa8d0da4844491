"""What a training tells on standard error."""

import pytest

from harness.checkpoint import Epoch
from harness.cli.progress import EpochLines, duration


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (90, "1:30"), (3700, "1:01:40")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_an_epoch_says_how_long_the_others_will_take(small_job, tmp_path, capsys):
    with EpochLines(small_job(tmp_path)) as lines:
        for number, seconds in ((1, 20.0), (2, 40.0), (3, 30.0)):
            lines.epoch(Epoch(epoch=number, train_loss=1, val_loss=1, seconds=seconds), 3)
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "small: epoch 1/3  train 1.000e+00  validation 1.000e+00  20.0 s  ETA 0:40"
    assert second.endswith("ETA 0:30")
    assert "ETA" not in last
