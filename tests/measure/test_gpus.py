"""NVML as a driver would answer, of two GPUs."""

import sys
from types import SimpleNamespace

import pytest

from harness.gpus import GpuMeter


class NVMLError(Exception):
    """As pynvml names it."""


@pytest.fixture
def nvml(monkeypatch):
    module = SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        energy=[2_000, 30_000], processes={0: [(1, 100_000_000), (7, 5_000_000)], 1: [(7, 3_000_000)]})
    module.nvmlDeviceGetTotalEnergyConsumption = lambda device: module.energy[device]
    module.nvmlDeviceGetComputeRunningProcesses = lambda device: [
        SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in module.processes[device]]
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_energy_of_all_and_memory_of_one_process(nvml):
    meter = GpuMeter()
    assert meter.joules() == 32.0
    nvml.energy[1] += 500
    assert meter.joules() == 32.5
    assert (meter.used_mb(7), meter.used_mb(1), meter.used_mb(2)) == (8.0, 100.0, None)


def test_what_the_driver_does_not_tell_is_none(nvml):
    def refused(device):
        raise NVMLError("not supported")

    nvml.nvmlDeviceGetTotalEnergyConsumption = refused
    nvml.processes[0] = [(7, None)]  # as in a container
    meter = GpuMeter()
    assert (meter.joules(), meter.used_mb(7)) == (None, None)


@pytest.mark.parametrize("missing", ["package", "driver"])
def test_without_a_gpu(nvml, monkeypatch, missing):
    def no_driver():
        raise NVMLError("driver not loaded")

    nvml.nvmlInit = no_driver
    if missing == "package":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    meter = GpuMeter()
    assert (meter.joules(), meter.used_mb()) == (None, None)
