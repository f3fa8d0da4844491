"""What NVIDIA's driver counts: energy of all GPUs, memory of one process. None where there is no GPU to ask."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class GpuMeter:
    """GPUs through NVML (package nvidia-ml-py, in the extra `cuda`), opened when it is first asked."""

    _nvml: Any = None
    _devices: list[Any] | None = field(default=None)

    def joules(self) -> float | None:
        """Used by all GPUs since their driver was loaded, whoever used them (Volta and newer)."""
        return self._sum(lambda device: self._nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3)

    def used_mb(self, process: int | None = None) -> float | None:
        """Memory of this process, or of the one with this id, on all GPUs; some containers hide it."""
        own = os.getpid() if process is None else process
        return self._sum(lambda device: sum(
            each.usedGpuMemory for each in self._nvml.nvmlDeviceGetComputeRunningProcesses(device)
            if each.pid == own) / 1e6) or None

    def _sum(self, of: Callable[[Any], float]) -> float | None:
        if self._devices is None:
            self._devices = self._open()
        if not self._devices:
            return None
        try:
            return sum(of(device) for device in self._devices)
        except (self._nvml.NVMLError, TypeError):  # not supported; TypeError: the memory of a process is None
            return None

    def _open(self) -> list[Any]:
        try:
            import pynvml
        except ImportError:
            return []
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:  # no driver, or none that works
            return []
