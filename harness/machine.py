"""Facts about processor, limits, GPUs and energy, from where the system keeps them; None where it does not tell."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SYS = Path("/sys")
FLAGS = ("sse4_2", "f16c", "avx", "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
         "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve")
"""Instructions that kernels of inference engines choose by."""
_GPU_FIELDS = ("name", "driver_version", "memory.total", "memory.used", "clocks.sm", "clocks.max.sm", "clocks.mem",
               "temperature.gpu", "power.draw", "power.limit", "persistence_mode", "compute_mode")


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str] | None:
    """Those of FLAGS that the first processor has."""
    text = _read(cpuinfo)
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text or "", re.MULTILINE)
    return [flag for flag in FLAGS if flag in found[1].split()] if found else None


def cpu_frequency(root: Path = SYS) -> dict[str, Any]:
    """Governor, boost and limits of the first processor's clock."""
    folder = root / "devices/system/cpu"
    clock = folder / "cpu0/cpufreq"
    turbo, boost = _read(folder / "intel_pstate/no_turbo"), _read(folder / "cpufreq/boost")
    return {"governor": _read(clock / "scaling_governor"), "driver": _read(clock / "scaling_driver"),
            "min_khz": _number(clock / "scaling_min_freq"), "max_khz": _number(clock / "scaling_max_freq"),
            "boost": turbo == "0" if turbo is not None else boost == "1" if boost is not None else None}


def memory_limit_gb(root: Path = SYS / "fs/cgroup") -> float | None:
    """What a container may use (cgroup v2, then v1), None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _number(root / name)
        if limit is not None and limit < 1 << 60:  # cgroup v1 says "no limit" by a huge number
            return round(limit / 2**30, 2)
    return None


def load_average() -> float | None:
    """Processes that ran or waited to run in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def gpu_states(answer: str | None) -> list[dict[str, str]]:
    """Each GPU's fields from the CSV answer of nvidia-smi; [] without one."""
    rows = [line.split(", ") for line in (answer or "").splitlines()]
    return [dict(zip(_GPU_FIELDS, row, strict=True)) for row in rows if len(row) == len(_GPU_FIELDS)]


def gpu_query() -> tuple[str, ...]:
    """The command whose answer gpu_states reads."""
    return "nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader"


@dataclass(slots=True)
class EnergyMeter:
    """Joules that all processor packages have used (RAPL): of the whole machine, whoever used them.

    root: of sysfs; the counters are usually readable by root only.
    """

    root: Path = SYS / "class/powercap"
    _last: dict[Path, int] = field(default_factory=dict)
    _joules: float = 0.0

    def read(self) -> float | None:
        """Since the first reading; None where no counter is readable. A counter that wraps is followed."""
        zones = [zone for zone in sorted(self.root.glob("intel-rapl:*"))
                 if (_read(zone / "name") or "").startswith("package")]  # others are parts of these, or hold them
        values = {zone: value for zone in zones if (value := _number(zone / "energy_uj")) is not None}
        if not values:
            return None
        for zone, value in values.items():
            used = value - self._last.get(zone, value)
            if used < 0:
                used += _number(zone / "max_energy_range_uj") or 0
            self._joules += used / 1e6
        self._last = values
        return self._joules


def queueing_ns(tasks: Path = Path("/proc/self/task")) -> int | None:
    """How long the threads of this process were ready to run and had no core (Linux); None where it is not kept.

    Nanoseconds since each thread began. Threads that have ended count no more: a difference can be negative.
    """
    waits = [fields[1] for path in tasks.glob("*/schedstat") if len(fields := (_read(path) or "").split()) == 3]
    return sum(map(int, waits)) if waits else None


def now() -> str:
    """In UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip() or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text is not None and text.isdigit() else None
