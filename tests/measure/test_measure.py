"""The closed loop on clocks that are not real, percentiles against brute force."""

import gc
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import measure
from harness.api import Timing
from harness.measure import Clocks, closed_loop, collector_off, latency_result, percentile, warm_up

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


def test_a_window_lasts_at_least_twenty_milliseconds():
    machine = Machine([MS // 10])
    assert warm_up(machine.query, 10, machine.clock).queries == 4 * 200


def test_warm_up_waits_until_latency_stops_falling():
    machine = Machine(lambda index: round(MS * (4 + 100 * 0.9**index)))
    warmup = warm_up(machine.query, 1000, machine.clock)
    assert warmup.steady
    medians = [statistics.median(round(MS * (4 + 100 * 0.9**i)) for i in range(10 * w, 10 * w + 10))
               for w in range(warmup.queries // 10)]
    steady = [w for w in range(3, len(medians))
              if abs(medians[w] - min(medians[w - 3:w])) <= 0.02 * min(medians[w - 3:w])]
    assert steady == [len(medians) - 1]
    assert len(medians) > 4


def test_warm_up_ends_at_its_limit_and_the_result_says_so():
    machine = Machine(lambda index: MS * (index + 1))  # slower and slower
    timing = machine.loop(max_warmup_s=2)
    assert timing.valid
    assert timing.why == "not steady after 2 s of warm-up"
    assert sum(range(1, timing.warmup_queries)) * MS < 2000 * MS <= sum(range(1, timing.warmup_queries + 1)) * MS


def test_every_query_is_kept_in_order():
    machine = Machine(lambda index: MS * (100 if index < 40 else index))
    timing = machine.loop()
    assert timing.warmup_queries == 40
    np.testing.assert_array_equal(timing.nanoseconds, MS * np.arange(40, 60))
    assert timing.nanoseconds.dtype == np.int64
    assert timing.elapsed_ns == timing.nanoseconds.sum()
    assert timing.cpu_ns == pytest.approx(timing.elapsed_ns / 2, abs=1)
    assert machine.queries == 60


def test_minimum_duration_adds_queries():
    assert len(Machine([10 * MS]).loop(min_duration_s=1).nanoseconds) == 100


def test_maximum_duration_ends_it_as_not_valid():
    timing = Machine([100 * MS]).loop(max_duration_s=1)
    assert len(timing.nanoseconds) == 10
    assert not timing.valid
    assert timing.why == "10 of at least 20 queries in 1 s"


def test_capacity_bounds_the_queries(monkeypatch):
    monkeypatch.setattr(measure, "_CAPACITY", 50)
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


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_percentile_equals_brute_force(values, fraction):
    assert percentile(np.array(values), fraction) == sorted(values)[min(int(len(values) * fraction), len(values) - 1)]


def test_percentile_of_nothing():
    with pytest.raises(ValueError, match="no samples"):
        percentile(np.array([], np.int64), 0.5)


@pytest.mark.parametrize(("n", "given_"), [(10, ""), (11, "50"), (63, "50"), (64, "50 90"), (129, "50 90"),
                                           (130, "50 90 95"), (661, "50 90 95"), (662, "50 90 95 99")])
def test_a_percentile_needs_its_queries(n, given_):
    samples = np.arange(1, n + 1) * MS
    result = latency_result(Timing(samples, int(samples.sum()), 3 * n * MS, 0), "single-stream", 4, 2)
    for name in ("50", "90", "95", "99"):
        value = getattr(result, f"p{name}_ms")
        if name in given_.split():
            assert value == pytest.approx(sorted(samples)[int(n * int(name) / 100)] / MS)
        else:
            assert value is None
            assert f"p{name} needs" in result.why
    assert (result.why is None) == (n >= 662)
    assert (result.ci is None) == (n < 11)


def test_units():
    samples = np.full(700, 2 * MS)
    result = latency_result(Timing(samples, 1_400 * MS, 700 * MS, 5, why="noted"), "single-stream", 8, 2)
    assert (result.p50_ms, result.mean_ms, result.cpu_ms, *result.ci) == pytest.approx((2.0, 2.0, 1.0, 2.0, 2.0))
    assert result.throughput == pytest.approx(8 * 700 / 1.4)
    assert (result.n, result.batch, result.threads, result.valid, result.why) == (700, 8, 2, True, "noted")


def test_no_query_at_all():
    result = latency_result(Timing(np.array([], np.int64), 0, 0, 0, valid=False, why="stopped"), "single-stream", 1, 1)
    assert (result.n, result.mean_ms, result.throughput, result.p50_ms, result.valid) == (0, None, None, None, False)
    assert result.why.startswith("stopped; 0 queries: p50 needs 11")


def test_real_clocks():
    timing = closed_loop(lambda: None, min_queries=1000, min_duration_s=0, max_duration_s=10, max_warmup_s=0.1)
    assert len(timing.nanoseconds) == 1000
    assert timing.nanoseconds.sum() <= timing.elapsed_ns
    assert np.median(timing.nanoseconds) < 20_000
