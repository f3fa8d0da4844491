"""Facts of machines that are made of files."""

import os
import subprocess
import sys
import time

import pytest

from harness.environment import describe
from harness.machine import (
    EnergyMeter,
    cpu_flags,
    cpu_frequency,
    gpu_query,
    gpu_states,
    memory_limit_gb,
    queueing_ns,
)


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(("text", "flags"), [
    ("processor: 0\nflags\t\t: fpu sse4_2 avx2 fma avx512_vnni\n", ["sse4_2", "avx2", "fma", "avx512_vnni"]),
    ("processor: 0\nFeatures\t: fp asimd asimddp i8mm\n", ["asimd", "asimddp", "i8mm"]), ("processor: 0\n", None)])
def test_instructions(tmp_path, text, flags):
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_flags(tmp_path / "cpuinfo") == flags
    assert cpu_flags(tmp_path / "none") is None


def test_frequency(tmp_path):
    assert set(cpu_frequency(tmp_path).values()) == {None}
    folder = tmp_path / "devices/system/cpu"
    (folder / "cpu0/cpufreq").mkdir(parents=True)
    facts = {"scaling_governor": "powersave", "scaling_driver": "acpi", "scaling_max_freq": "3400000"}
    for name, value in facts.items():
        (folder / "cpu0/cpufreq" / name).write_text(value + "\n")
    (folder / "intel_pstate").mkdir()
    (folder / "intel_pstate/no_turbo").write_text("1\n")
    assert cpu_frequency(tmp_path) == {"governor": "powersave", "driver": "acpi", "min_khz": None, "max_khz": 3400000,
                                       "boost": False}


@pytest.mark.parametrize(("name", "text", "limit"), [
    ("memory.max", "max", None), ("memory.max", str(3 << 30), 3.0),
    ("memory/memory.limit_in_bytes", "9223372036854771712", None),
    ("memory/memory.limit_in_bytes", str(1 << 29), 0.5)])
def test_memory_limit(tmp_path, name, text, limit):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert memory_limit_gb(tmp_path) == limit


def test_gpus_as_nvidia_smi_tells():
    answer = ("NVIDIA H200, 570.1, 143771 MiB, 4 MiB, 345 MHz, 1980 MHz, 3201 MHz, 27, 75.1 W, 700.00 W, Enabled, "
              "Default\n")
    (state,) = gpu_states(answer)
    assert (state["name"], state["clocks.max.sm"], state["temperature.gpu"]) == ("NVIDIA H200", "1980 MHz", "27")
    assert gpu_query()[1].count(",") == len(state) - 1
    assert gpu_states(None) == gpu_states("No devices were found") == []


def test_energy_counters_are_summed_and_followed_over_their_end(tmp_path):
    assert EnergyMeter(tmp_path).read() is None
    zones = [tmp_path / "intel-rapl:0", tmp_path / "intel-rapl:1", tmp_path / "intel-rapl:2"]
    for zone, name in zip(zones, ("package-0", "package-1", "psys"), strict=True):
        zone.mkdir()
        (zone / "name").write_text(f"{name}\n")
        (zone / "max_energy_range_uj").write_text("10000000")

    def set_to(*values):
        for zone, value in zip(zones, values, strict=True):
            (zone / "energy_uj").write_text(str(value))

    meter = EnergyMeter(tmp_path)
    set_to(9_000_000, 1_000_000, 5)
    assert meter.read() == 0.0
    set_to(9_500_000, 3_000_000, 9_999)
    assert meter.read() == pytest.approx(2.5)
    set_to(500_000, 3_000_000, 9_999)  # the first one starts again at 10 J
    assert meter.read() == pytest.approx(3.5)


def test_the_time_in_the_queue_is_summed_over_threads(tmp_path):
    assert queueing_ns(tmp_path) is None
    for name, text in (("1", "100 20 3\n"), ("2", "50 7 1\n"), ("3", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(text)
    assert queueing_ns(tmp_path) == 27


@pytest.mark.skipif(queueing_ns() is None, reason="this system does not keep it")
def test_a_thread_that_shares_its_core_queues():
    cores = os.sched_getaffinity(0)
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(rival.pid, {min(cores)})
        os.sched_setaffinity(0, {min(cores)})
        before, end = queueing_ns(), time.process_time() + 0.2
        while time.process_time() < end:
            pass
        assert queueing_ns() - before > 50_000_000  # half of the time would be 200 ms
    finally:
        os.sched_setaffinity(0, cores)
        rival.kill()
        rival.wait()


def test_they_are_told_of_this_machine():
    facts = describe()
    assert {"cpu_flags", "cpu_frequency", "load", "memory_limit_gb", "gpu_states", "finished"} <= set(facts)
