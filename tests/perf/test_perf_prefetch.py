"""What reading ahead gains on photographs and a third-party network: against one batch after the other, alternated."""

import os
import resource
import statistics
import time
from pathlib import Path

import pytest

from harness import quality
from harness.host import Host
from harness.reading import read_suite
from harness.run import RunOptions, run_suite

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("HARNESS_SHARED_DATA", ROOT.parent / "shared" / "data"))
ROUNDS = 5


class Silent:
    def started(self, *_):
        pass

    progress = finished = warn = started


@pytest.mark.perf
def test_reading_ahead(benchmark, tmp_path, monkeypatch):
    if not (DATA / "pets").is_dir() or not (DATA / "models").is_dir():
        pytest.skip(f"no photographs and networks in {DATA}; set HARNESS_SHARED_DATA")
    monkeypatch.setenv("HARNESS_SHARED_DATA", str(DATA))
    host = Host.discover()
    suite = read_suite(ROOT / "suites" / "pets.toml", host)

    def measured(name):
        """Wall and CPU seconds of the photographs' accuracy cell, in this process, nothing from the cache."""
        options = RunOptions(output=tmp_path / name, executor="inline", cache=tmp_path / "cache", fresh=True,
                             only=("accuracy/pets/*",))
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        (cell,) = run_suite(suite, host, options, Silent()).results.cells
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        assert cell.status == "ok", cell.error
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    measured("warm")
    times = {"ahead": [], "serial": []}
    for index in range(2 * ROUNDS):
        kind = ("ahead", "serial")[(index + index // 2) % 2]
        with monkeypatch.context() as patch:
            if kind == "serial":
                patch.setattr(quality, "prefetched", iter)
            times[kind].append(measured(f"{kind}-{index}"))
    for kind, found in times.items():
        benchmark.extra_info[f"{kind}_wall_s"] = round(statistics.median(wall for wall, _ in found), 3)
        benchmark.extra_info[f"{kind}_cpu_s"] = round(statistics.median(cpu for _, cpu in found), 3)
    walls = [serial[0] / ahead[0] for serial, ahead in zip(times["serial"], times["ahead"], strict=True)]
    benchmark.extra_info["serial_over_ahead"] = round(statistics.median(walls), 3)
    benchmark.pedantic(measured, args=("last",), rounds=1)
    assert statistics.median(walls) > 0.9
