"""The open loop against queueing theory, on clocks that are not real and on real ones."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from harness.contracts import Timing
from harness.measure import Clocks, invalidity, latency_result, open_loop, poisson_arrivals

MS = 1_000_000


class Machine:
    """Time passes when it serves, sleeps or looks at the clock."""

    def __init__(self, service):
        self.now = 0
        self.service = iter(service)

    def clock(self):
        self.now += 20
        return self.now

    def sleep(self, seconds):
        self.now += round(seconds * 1e9)

    def query(self):
        self.now += next(self.service)

    def serve(self, arrivals, **options):
        clocks = Clocks(wall=self.clock, cpu=lambda: 0, sleep=self.sleep)
        return open_loop(self.query, np.asarray(arrivals), clocks=clocks,
                         **{"max_duration_s": 1e6, "max_warmup_s": None, **options})


def lindley(arrivals, service):
    """Response times of a queue with one server, by Lindley's recursion."""
    free, times = 0, []
    for arrival, needs in zip(arrivals, service, strict=True):
        free = max(free, arrival) + needs
        times.append(free - arrival)
    return np.array(times)


def test_arrivals_are_a_poisson_process():
    arrivals = poisson_arrivals(5000, 200.0, seed=3)
    gaps = np.diff(arrivals, prepend=0) / 1e9
    assert scipy.stats.kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.01
    assert (np.diff(arrivals) >= 0).all()
    np.testing.assert_array_equal(arrivals, poisson_arrivals(5000, 200.0, seed=3))
    assert not np.array_equal(arrivals, poisson_arrivals(5000, 200.0, seed=4))


def test_waiting_in_the_queue_counts():
    rng = np.random.default_rng(0)
    arrivals = poisson_arrivals(400, 100.0, seed=1)
    service = (rng.exponential(9 * MS, 400)).astype(np.int64)  # 90 % busy
    timing = Machine([3 * MS, *service]).serve(arrivals)  # the first query settles
    assert timing.warmup_queries == 1
    np.testing.assert_allclose(timing.nanoseconds, lindley(arrivals, service), atol=60_000)
    assert timing.nanoseconds.mean() > 2 * service.mean()
    assert timing.note is None


def test_a_stall_delays_everyone_behind_it():
    arrivals = np.arange(1, 21) * MS
    timing = Machine([3 * MS, 10 * MS, *[MS // 10] * 19]).serve(arrivals)
    assert timing.nanoseconds[0] == pytest.approx(10 * MS, rel=0.01)
    assert timing.nanoseconds[1] == pytest.approx(9.1 * MS, rel=0.01)  # a closed loop would say 0.1 ms
    assert timing.nanoseconds[-1] == pytest.approx(0.1 * MS, rel=0.05)


def test_what_is_not_served_in_time_counts_with_its_waiting_time():
    arrivals = np.arange(1, 101) * MS
    timing = Machine([10 * MS] * 101).serve(arrivals, max_duration_s=0.05)
    served = 5
    assert len(timing.nanoseconds) == pytest.approx(51, abs=1)  # all that had arrived by then
    np.testing.assert_allclose(timing.nanoseconds[:served], np.arange(served) * 9 * MS + 10 * MS, rtol=0.01)
    assert "were not served within 0.05 s" in timing.note
    assert timing.served == served


def test_a_server_that_can_not_keep_up_has_the_throughput_of_what_it_served():
    """10 ms for each of 1000 queries a second: 100 of them are served in a second, whoever waits."""
    turns = []
    for seed in range(5):
        machine = Machine([10 * MS] * 102)
        timing = machine.serve(poisson_arrivals(1000, 1000.0, seed), max_duration_s=1.0)
        turns.append(replace(timing, cpu_ns=timing.served * 4 * MS, joules=1.0))
    reason = invalidity(turns, min_queries=100, min_duration_s=0, target=0.99, bound_ms=1000.0)
    result = latency_result(turns, "server", 1, 1, invalid=reason)
    assert result.n > 4000
    assert result.throughput == pytest.approx(100, rel=0.02)
    assert result.throughput_ci == pytest.approx((100, 100), rel=0.05)
    assert result.cpu_ms == pytest.approx(4)
    assert result.energy_mj == pytest.approx(1000 / 100, rel=0.03)
    assert result.mean_ms == pytest.approx(np.mean([turn.nanoseconds[: turn.served].mean() for turn in turns]) / MS)
    assert (result.p50_ms, result.p99_ms, result.ci, result.rounds, result.valid) == (None, None, None, [], False)
    assert "p99 is of a query that was not served, the bound is 1000 ms" in result.why
    assert "p50, p90, p95, p99: of a query that was not served" in result.why


def test_what_arrived_just_before_the_end_is_not_within_the_bound():
    """A query that waited 1 ms and is not served has no latency of 1 ms."""
    served, waiting = [2 * MS] * 990, [MS] * 10
    kept = Timing(np.array([*served, *waiting]), 1000 * MS, 0, 0, served=990)
    conditions = {"min_queries": 1, "min_duration_s": 0, "target": 0.98, "bound_ms": 5.0}
    least = next(n for n in range(11, 5000) if scipy.stats.binom.cdf(10, n, 0.02) < 0.01)
    assert invalidity([kept], **conditions).startswith(f"p98 needs {least} queries with 10 above 5 ms")
    assert invalidity([replace(kept, served=1000)], **conditions) is None
    result = latency_result([kept], "server", 1, 1)
    assert (result.n, result.p50_ms, result.p95_ms, result.p99_ms) == (1000, 2.0, 2.0, None)
    assert result.mean_ms == 2.0
    assert result.rounds == [2.0]


def test_real_clocks():
    arrivals = poisson_arrivals(100, 1000.0, seed=0)
    timing = open_loop(lambda: None, arrivals, max_duration_s=5, max_warmup_s=0.1)
    assert len(timing.nanoseconds) == 100
    assert (timing.nanoseconds >= 0).all()
    assert timing.elapsed_ns >= arrivals[-1]
    assert np.median(timing.nanoseconds) < 5 * MS
