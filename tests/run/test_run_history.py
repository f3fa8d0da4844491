"""Change points against planted ones and against chance; series over the runs of a folder."""

import json

import numpy as np
import pytest

from harness.errors import UsageError
from harness.history import change_points, read_history
from harness.results import CellResult, LatencyResult, MetricResult, Results


def test_a_planted_change_is_found_where_it_is():
    rng = np.random.default_rng(0)
    for _ in range(5):
        at = int(rng.integers(8, 23))
        values = rng.normal(0, 1, 30) + 5 * (np.arange(30) >= at)
        found = change_points(values)
        assert min(abs(index - at) for index, _ in found) <= 1
        assert all(p < 0.01 for _, p in found)
        assert len(found) <= 2


def test_two_changes_and_an_outlier():
    values = np.concatenate([np.full(12, 1.0), np.full(12, 2.0), np.full(12, 1.5)])
    values += np.random.default_rng(1).normal(0, 0.02, 36)
    values[5] = 9.0
    assert [index for index, _ in change_points(values)] == [12, 24]


def test_chance_alone_rarely_makes_one():
    rng = np.random.default_rng(2)
    found = sum(bool(change_points(rng.standard_t(2, 20), seed=trial)) for trial in range(60))
    assert found <= 4  # 0.6 expected


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 30, [1, 2, 3, 4, 5]])
def test_no_change(values):
    assert change_points(values) == []


def write(folder, index, *, score=0.9, p50=2.0, cpu="Z80", status="ok", convention="", rate=None):
    common = {"id": "0", "model": "m", "precision": "fp32", "backend": "b", "status": status}
    latency = LatencyResult(scenario="single-stream", batch=1, threads=1, n=99, p50_ms=p50, ratio=p50 / 2)
    metrics = {"pck": MetricResult(value=score, n=9, convention=convention)}
    cells = [CellResult(key="accuracy/d/m/fp32/b", kind="accuracy", metrics=metrics, **common),
             CellResult(key="latency/m", kind="latency", latency=latency, **common)]
    suite = {} if rate is None else {"bench": [
        {"models": ["n"], "backends": ["b"], "latency": [{"rate": 1}]},
        {"models": ["n", "m"], "backends": ["b"], "latency": [{"batch": 2}, {"batch": [1, 4], "rate": rate}]}]}
    results = Results(suite=suite, environment={"finished": f"2026-01-{index + 1:02}T00:00:00Z", "commit": f"c{index}",
                                             "cpu": cpu}, plugins=[], cells=cells)
    (folder / f"run-{99 - index}").mkdir(parents=True)
    (folder / f"run-{99 - index}/results.json").write_text(results.model_dump_json(by_alias=True))


def test_series_are_in_order_of_time_and_know_their_changes(tmp_path):
    for index in range(24):
        write(tmp_path / "suite", index, score=0.9 + 0.001 * (index % 3), p50=2.0 + (index >= 12) + 0.01 * (index % 5))
    history = read_history(tmp_path)
    series = {each.metric: each for each in history.series}
    assert set(series) == {"pck", "p50_ms", "ratio"}
    assert [point.commit for point in series["pck"].points] == [f"c{index}" for index in range(24)]
    assert series["pck"].changes == []
    (change,) = series["p50_ms"].changes
    assert (change.index, change.worse) == (12, True)
    assert (change.before, change.after) == pytest.approx((2.015, 3.02))
    assert json.loads(history.model_dump_json())["series"][0]["cell"] == "accuracy/d/m/fp32/b"


def test_machines_are_kept_apart_and_failed_cells_left_out(tmp_path):
    for index in range(20):
        write(tmp_path, index, p50=1.0 + (index % 2), cpu=("Z80", "6502")[index % 2])
    write(tmp_path, 20, status="failed")
    series = [each for each in read_history(tmp_path).series if each.metric == "p50_ms"]
    assert [(len(each.points), each.changes) for each in series] == [(10, []), (10, [])]
    assert series[0].machine.startswith("Z80")


def test_what_is_not_comparable_is_no_change(tmp_path):
    for index in range(24):
        later = index >= 12
        write(tmp_path, index, score=0.9 - 0.4 * later, convention="strict" if later else "", p50=2.0 + 2 * later,
              rate=200 if later else 50)
    series = read_history(tmp_path).series
    assert [(each.metric, each.convention, each.scenario, len(each.points)) for each in series] == [
        ("pck", "", "", 12), ("p50_ms", "", '{"rate": 50}', 12), ("ratio", "", '{"rate": 50}', 12),
        ("pck", "strict", "", 12), ("p50_ms", "", '{"rate": 200}', 12), ("ratio", "", '{"rate": 200}', 12)]
    assert not any(each.changes for each in series)


def test_what_can_not_be_read_is_named(tmp_path):
    write(tmp_path, 0)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/results.json").write_text('{"schema": 1')
    assert list(read_history(tmp_path).unreadable) == ["torn"]
    with pytest.raises(UsageError, match="no results of finished runs"):
        read_history(tmp_path / "torn/deeper")
