"""Disturbances that are made, on a clock that is not real, and a real spin."""

import pytest

from harness.measure import Spin


class Machine:
    """Each spin takes as long as its steps, times a slowness that tests set."""

    def __init__(self):
        self.now = 0
        self.slowness = 1.0

    def clock(self):
        return self.now

    def work(self, steps):
        self.now += round(100 * steps * self.slowness)


@pytest.mark.parametrize(("slowness", "noisy"), [
    ([1.0] * 10, False), ([1.0] * 8 + [2.0] * 2, False), ([1.0] * 7 + [2.0] * 3, True), ([1.05] * 10, False),
    ([1.0] * 7 + [1.12] * 3, True), ([1.5] * 10, False)])
def test_more_than_a_fifth_of_slow_spins(slowness, noisy):
    machine = Machine()
    spin = Spin(machine.clock, machine.work)
    indices = []
    for factor in slowness:
        machine.slowness = factor
        indices.append(spin())
    assert spin.noisy(indices) is noisy


def test_only_spins_beside_the_measurement_count():
    machine = Machine()
    spin = Spin(machine.clock, machine.work)
    quiet = [spin() for _ in range(4)]
    machine.slowness = 3.0
    loud = [spin() for _ in range(4)]
    assert (spin.noisy(quiet), spin.noisy(loud)) == (False, True)


@pytest.mark.parametrize(("queueing", "noisy"), [(None, False), (0.0, False), (0.01, False), (0.03, True)])
def test_time_in_the_queue_for_a_core_is_a_disturbance(queueing, noisy):
    machine = Machine()
    spin = Spin(machine.clock, machine.work)
    assert spin.noisy([spin(), spin()], queueing) is noisy


def test_a_spin_takes_some_two_milliseconds():
    spin = Spin()
    for _ in range(5):
        spin()
    assert 500_000 < min(spin.times) < 8_000_000
