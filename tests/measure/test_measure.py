"""Closed loops on clocks that are not real."""

import gc
import statistics
from contextlib import contextmanager

import numpy as np
import pytest

from harness.measure import Clocks, closed_loop, cold_start, collector_off, loops, settle, warm_up

MS = 1_000_000


class Machine:
    """A clock that only queries move. durations: nanoseconds of query i, a list (the last repeats) or a function."""

    def __init__(self, durations):
        self.now = 0
        self.queries = 0
        self.durations = durations

    def query(self):
        index, self.queries = self.queries, self.queries + 1
        listed = isinstance(self.durations, list)
        self.now += self.durations[min(index, len(self.durations) - 1)] if listed else self.durations(index)

    def clock(self):
        return self.now

    def loop(self, **options):
        defaults = {"min_queries": 20, "min_duration_s": 0, "max_duration_s": 1000, "max_warmup_s": 10}
        return closed_loop(self.query, clocks=Clocks(wall=self.clock, cpu=lambda: self.now // 2),
                           **{**defaults, **options})


def test_steady_from_the_start_takes_four_windows():
    machine = Machine([5 * MS])
    warmup = warm_up(machine.query, 10, machine.clock)
    assert (warmup.queries, warmup.steady) == (40, True)


@pytest.mark.parametrize(("duration", "queries"), [(20, 40), (21, 12), (125, 12), (400, 12)])
def test_slow_queries_have_shorter_windows(duration, queries):
    """Ten of 125 ms would take 5 s for four windows: such a model could never be steady."""
    machine = Machine([duration * MS])
    warmup = warm_up(machine.query, 5, machine.clock)
    assert (warmup.queries, warmup.steady) == (queries, True)


def test_a_window_lasts_at_least_twenty_milliseconds():
    machine = Machine([MS // 10])
    assert warm_up(machine.query, 10, machine.clock).queries == 4 * 200


def test_warm_up_waits_until_latency_stops_falling():
    machine = Machine(lambda index: round(MS * (4 + 10 * 0.9**index)))
    warmup = warm_up(machine.query, 1000, machine.clock)
    assert warmup.steady
    medians = [statistics.median(round(MS * (4 + 10 * 0.9**i)) for i in range(10 * w, 10 * w + 10))
               for w in range(warmup.queries // 10)]
    steady = [w for w in range(3, len(medians))
              if abs(medians[w] - min(medians[w - 3:w])) <= 0.02 * min(medians[w - 3:w])]
    assert steady == [len(medians) - 1]
    assert len(medians) > 4


def test_warm_up_ends_at_its_limit_and_the_result_says_so():
    machine = Machine(lambda index: MS * (index + 1))  # slower and slower
    timing = machine.loop(max_warmup_s=2)
    assert timing.note == "not steady after 2 s of warm-up"
    assert sum(range(1, timing.warmup_queries)) * MS < 2000 * MS <= sum(range(1, timing.warmup_queries + 1)) * MS


def test_every_query_is_kept_in_order():
    machine = Machine(lambda index: MS * (10 if index < 40 else index))
    timing = machine.loop()
    assert timing.warmup_queries == 40
    np.testing.assert_array_equal(timing.nanoseconds, MS * np.arange(40, 60))
    assert timing.nanoseconds.dtype == np.int64
    assert timing.elapsed_ns == timing.nanoseconds.sum()
    assert timing.cpu_ns == pytest.approx(timing.elapsed_ns / 2, abs=1)
    assert machine.queries == 60


def test_minimum_duration_adds_queries():
    assert len(Machine([10 * MS]).loop(min_duration_s=1).nanoseconds) == 100


def test_maximum_duration_ends_it():
    assert len(Machine([100 * MS]).loop(max_duration_s=1).nanoseconds) == 10


@pytest.mark.parametrize(("duration", "queries"), [(MS // 10, 20), (MS, 2), (5 * MS, 1)])
def test_a_later_turn_settles_for_two_milliseconds(duration, queries):
    machine = Machine([duration])
    timing = machine.loop(max_warmup_s=None)
    assert (timing.warmup_queries, timing.note) == (queries, None)
    assert settle(machine.query, machine.clock) == queries


def test_cold_start_is_opening_and_the_first_query():
    machine, closed = Machine([30 * MS, 7 * MS]), []

    @contextmanager
    def opened():
        machine.query()  # 30 ms
        yield machine.query
        machine.now += 400 * MS
        closed.append(True)

    timing = cold_start(opened, Clocks(wall=machine.clock, cpu=lambda: machine.now // 2))
    assert closed
    assert {name: part.tolist() for name, part in timing.parts.items()} == {"open": [30 * MS], "first": [7 * MS]}
    assert timing.nanoseconds.tolist() == [37 * MS]
    assert (timing.elapsed_ns, timing.cpu_ns, timing.warmup_queries) == (37 * MS, 37 * MS // 2, 0)


def test_capacity_bounds_the_queries(monkeypatch):
    monkeypatch.setattr(loops, "_CAPACITY", 50)
    assert len(Machine([MS]).loop(min_duration_s=100).nanoseconds) == 50


@pytest.mark.parametrize("enabled", [True, False])
def test_collector_is_off_inside_and_restored_after_an_exception(enabled):
    seen = []

    def fail():
        seen.append(gc.isenabled())
        raise RuntimeError("query")

    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(RuntimeError, match="query"):
            closed_loop(fail, min_queries=1, min_duration_s=0, max_duration_s=1, max_warmup_s=1)
        assert seen == [False]
        assert gc.isenabled() is enabled
        with collector_off():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_real_clocks():
    timing = closed_loop(lambda: None, min_queries=1000, min_duration_s=0, max_duration_s=10, max_warmup_s=0.1)
    assert len(timing.nanoseconds) == 1000
    assert timing.nanoseconds.sum() <= timing.elapsed_ns
    assert np.median(timing.nanoseconds) < 20_000
