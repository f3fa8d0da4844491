"""The learning rate of every step, held against torch's own schedulers."""

import math

import pytest

from harness.schedule import learning_rate
from harness.trainable import Recipe


def rates(total, **recipe):
    return [learning_rate(Recipe(**recipe), step, total) for step in range(total)]


@pytest.fixture
def torch_rates():
    torch = pytest.importorskip("torch")

    def compute(total, lr, make):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        scheduler, found = make(torch.optim.lr_scheduler, optimizer), []
        for step in range(total):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if step < total - 1:
                scheduler.step()
        return found

    return compute


@pytest.mark.parametrize("total", [12, 101, 1750])
@pytest.mark.parametrize("warmup", [None, 0.1, 0.5])
def test_one_cycle_is_that_of_torch(torch_rates, total, warmup):
    expected = torch_rates(total, 4e-3, lambda kinds, optimizer: kinds.OneCycleLR(
        optimizer, 4e-3, total_steps=total, pct_start=0.3 if warmup is None else warmup))
    assert rates(total, schedule="one-cycle", lr=4e-3, warmup=warmup) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("total", [5, 100])
def test_cosine_is_that_of_torch(torch_rates, total):
    expected = torch_rates(total, 0.1, lambda kinds, optimizer: kinds.CosineAnnealingLR(optimizer, total))
    assert rates(total, schedule="cosine", lr=0.1) == pytest.approx(expected)


def test_constant_with_and_without_warmup():
    assert rates(10, lr=0.5) == [0.5] * 10
    assert rates(10, lr=0.5, warmup=0.4) == pytest.approx([0.1, 0.2, 0.3, 0.4] + [0.5] * 6)


def test_warmup_before_a_cosine():
    found = rates(20, schedule="cosine", lr=1.0, warmup=0.2)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[5:] == pytest.approx([(1 + math.cos(math.pi * k / 16)) / 2 for k in range(1, 16)])


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cosine"])
@pytest.mark.parametrize("warmup", [None, 0.0, 0.99])
def test_short_trainings_have_a_rate_too(schedule, warmup):
    for total in (1, 2, 3):
        assert all(0 < rate <= 1 for rate in rates(total, schedule=schedule, lr=1.0, warmup=warmup))
