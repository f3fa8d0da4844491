"""Our percentiles, early-stopping estimates and verdicts against LoadGen's own log of the same queries."""

import time

import numpy as np
import pytest

from harness.contracts import Timing
from harness.errors import CellError, MissingDependency
from harness.measure import closed_loop, early_stopping_estimate, invalidity, percentile

pytest.importorskip("mlperf_loadgen", reason="needs the extra `loadgen`")

from harness_loadgen.log import read_log
from harness_loadgen.params import MultiStreamParams, OfflineParams, ServerParams, SingleStreamParams
from harness_loadgen.scenario import LoadGen

PERCENTILES = {"50.00": 0.5, "90.00": 0.9, "95.00": 0.95, "97.00": 0.97, "99.00": 0.99, "99.90": 0.999}


def script(seed):
    """A query that takes scripted times: mostly short ones, now and then a long one."""
    rng = np.random.default_rng(seed)
    durations = rng.lognormal(np.log(15_000), 0.6, 20_000) * np.where(rng.random(20_000) < 0.02, 10, 1)
    left = iter(durations.astype(int).tolist())

    def query():
        end = time.perf_counter_ns() + next(left)
        while time.perf_counter_ns() < end:
            pass

    return query


def scripted(seed):
    """(params, batch) of a test that may be VALID or not."""
    rng = np.random.default_rng([seed, 1])
    common = {"min_queries": int(rng.choice([5, 30, 64, 150, 700])), "seed": seed,
              "min_duration_s": float(rng.choice([0.001, 0.005, 0.03]))}
    kind = ("single", "multi", "server", "single")[seed % 4]
    target = float(rng.choice([0.5, 0.9, 0.95, 0.97]))
    if kind == "single":
        return SingleStreamParams(percentile=target, **common), 1
    if kind == "multi":
        return MultiStreamParams(percentile=target, **common), int(rng.choice([2, 8]))
    return ServerParams(percentile=target, target_qps=float(rng.choice([2000, 10000])),
                        latency_bound_ms=float(rng.choice([0.02, 0.1, 1.0, 20.0])), **common), 1


def check(seed):
    """One scripted run: everything that LoadGen's log says of it, computed here. Whether it was VALID."""
    params, batch = scripted(seed)
    log = LoadGen(params).run(script(seed), batch, expected_ns=40_000)
    facts, latencies = log.facts, log.latencies
    assert len(latencies) == facts["result_query_count"]
    kind = "_per_query" if batch > 1 else ""
    for name, fraction in PERCENTILES.items():
        assert percentile(latencies, fraction) == facts[f"result_{name}_percentile{kind}_latency_ns"], (seed, name)
    assert int(latencies.mean()) == facts[f"result_mean{'_query' if batch > 1 else ''}_latency_ns"]
    if isinstance(params, SingleStreamParams) and early_stopping_estimate(latencies, params.percentile) is not None:
        assert early_stopping_estimate(latencies, params.percentile) == facts["early_stopping_latency_ss"]
        assert (early_stopping_estimate(latencies, 0.99) or 0) == facts["early_stopping_latency_ms"]
    if isinstance(params, MultiStreamParams):
        assert (early_stopping_estimate(latencies, params.percentile) or 0) == facts["early_stopping_latency_ms"]
    bound = params.latency_bound_ms if isinstance(params, ServerParams) else None
    reason = invalidity([Timing(latencies, 0, 0, 0)], min_queries=params.min_queries, min_duration_s=0,
                        target=params.percentile, bound_ms=bound)
    ours = reason is None and facts["result_min_duration_met"]
    assert ours == log.valid, (seed, reason, log.reason)
    assert (log.reason is None) == log.valid
    return log.valid


def test_scripted_runs_agree():
    valid = [check(seed) for seed in range(16)]
    assert 0 < sum(valid) < 16


@pytest.mark.slow
def test_two_hundred_scripted_runs_agree():
    valid = [check(seed) for seed in range(1000, 1200)]
    assert 20 < sum(valid) < 180


@pytest.mark.parametrize(("params", "batch"), [
    (SingleStreamParams(min_queries=80, min_duration_s=0.001), 1),
    (SingleStreamParams(min_queries=80, min_duration_s=0.001), 4),
    (MultiStreamParams(min_queries=700, min_duration_s=0.001), 8),
    (OfflineParams(min_queries=200, min_duration_s=0.01), 8),
    (ServerParams(min_queries=700, min_duration_s=0.001, target_qps=3000, latency_bound_ms=500), 1)])
def test_as_a_scenario(params, batch):
    from contextlib import nullcontext

    from harness.contracts import Subject

    issued = []
    query = script(3)
    subject = Subject(lambda: (issued.append(1), query()), lambda: nullcontext(query), batch)
    scenario = LoadGen(params.model_copy(update={"max_warmup_s": 0.1}))
    timing = scenario.measure(subject, 0)
    assert timing.served + timing.warmup_queries == len(issued)
    assert (timing.nanoseconds > 0).all()
    assert scenario.invalidity([timing]) is None
    assert timing.elapsed_ns > 0


def test_offline_has_a_throughput_and_no_latencies():
    from contextlib import nullcontext

    from harness.contracts import Subject
    from harness.measure import latency_result

    times = iter(range(10**6))

    def query():  # slower and slower: warm-up can not become steady
        end = time.perf_counter_ns() + 100_000 + 2_000 * next(times)
        while time.perf_counter_ns() < end:
            pass

    scenario = LoadGen(OfflineParams(min_queries=200, min_duration_s=0.01, max_warmup_s=0.1))
    timing = scenario.measure(Subject(query, lambda: nullcontext(query), 8), 0)
    result = latency_result([timing], "loadgen-offline", 8, 1)
    assert len(timing.nanoseconds) == 0
    assert timing.served >= 25
    assert result.n == timing.served
    assert result.throughput == pytest.approx(8 * timing.served * 1e9 / timing.elapsed_ns)
    assert (result.p50_ms, result.p50_early_stopping_ms, result.ci, result.mean_ms, result.rounds) == (
        None, None, None, None, [])
    assert result.why == ("not steady after 0.1 s of warm-up; Offline is one query of all samples: a throughput, no "
                          "latencies of its batches")


@pytest.mark.parametrize("params", [
    SingleStreamParams(min_queries=80, min_duration_s=0.2),
    MultiStreamParams(min_queries=80, min_duration_s=0.2),
    OfflineParams(min_queries=80, min_duration_s=0.2),
    ServerParams(min_queries=80, min_duration_s=0.2, target_qps=1000, latency_bound_ms=500)])
def test_a_query_that_fails_ends_the_test_with_its_error(params):
    ran = []

    def query():
        ran.append(1)
        if len(ran) == 5:
            raise CellError("out of memory")

    started = time.perf_counter()
    with pytest.raises(CellError, match="out of memory"):
        LoadGen(params).run(query, 1, 40_000)
    assert len(ran) == 5
    assert time.perf_counter() - started < 10
    after = LoadGen(SingleStreamParams(min_queries=80, min_duration_s=0.001)).run(script(3), 1, 40_000)
    assert len(after.latencies) >= 80  # LoadGen is fit for another test


def test_what_is_not_valid_says_what_was_not_met():
    log = LoadGen(SingleStreamParams(min_queries=20, min_duration_s=0.0)).run(script(0), 1, 40_000)
    assert not log.valid
    assert log.reason.startswith("LoadGen: INVALID, not met: early stopping: ")


def test_the_server_takes_single_samples():
    with pytest.raises(CellError, match="set batch = 1"):
        LoadGen(ServerParams(target_qps=1, latency_bound_ms=1)).measure(type("S", (), {"batch": 2})(), 0)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlperf_loadgen", None)
    with pytest.raises(MissingDependency, match=r"pip install 'vision-harness\[loadgen\]'"):
        LoadGen(SingleStreamParams()).run(lambda: None, 1, 1)


@pytest.mark.parametrize("files", [{}, {"mlperf_log_detail.txt": "", "mlperf_log_trace.json": ""}])
def test_a_log_that_is_not_there(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CellError, match="LoadGen"):
        read_log(tmp_path)


@pytest.mark.perf
def test_the_median_through_loadgen_is_that_of_our_loop():
    """Within 2 %, alternated: LoadGen calls the same query."""
    ratios = []
    for seed in range(9):
        def query(end=200_000):
            stop = time.perf_counter_ns() + end
            while time.perf_counter_ns() < stop:
                pass

        log = LoadGen(SingleStreamParams(min_queries=300, min_duration_s=0.001, seed=seed)).run(query, 1, 200_000)
        ours = closed_loop(query, min_queries=300, min_duration_s=0, max_duration_s=9, max_warmup_s=None)
        ratios.append(np.median(log.latencies) / np.median(ours.nanoseconds))
    assert 0.98 < np.median(ratios) < 1.02, ratios
