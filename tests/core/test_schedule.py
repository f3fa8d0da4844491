"""Learning rates by step against torch's own scheduler."""

import pytest

torch = pytest.importorskip("torch")

from harness.checkpoint import TrainingRecord  # noqa: E402
from harness.train import make_schedule  # noqa: E402
from harness.trainable import Recipe  # noqa: E402


@pytest.mark.parametrize(("epochs", "samples"), [(12, 800), (3, 50), (1, 200)])
def test_one_cycle_equals_torch(epochs, samples):
    recipe = Recipe(epochs=epochs, batch_size=16, lr=3e-3, schedule="one-cycle")
    steps = epochs * -(-samples // 16)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    schedule = make_schedule(recipe, samples)
    for step in range(steps):
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-12)
        optimizer.step()
        if step < steps - 1:
            peer.step()


def test_constant_is_constant():
    assert {make_schedule(Recipe(lr=0.5), 100)(step) for step in range(9)} == {0.5}


def test_a_schedule_that_depends_on_the_length_is_not_continued_at_another():
    def record(**recipe):
        return TrainingRecord(id="a", model="m", provider="p", params={}, recipe=Recipe(**recipe).model_dump())

    assert record(epochs=3).same_run(record(epochs=5)) == []
    differences = record(epochs=3, schedule="one-cycle").same_run(record(epochs=5, schedule="one-cycle"))
    assert differences == ["train.epochs = 3 in the checkpoint, 5 now"]
