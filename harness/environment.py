"""Facts about this machine for every results file, and what `harness doctor` finds wrong with it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from harness import machine

PACKAGES = ("vision-harness", "numpy", "scipy", "pillow", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "openvino",
            "mlcommons-loadgen", "nvidia-cudnn-cu13", "nvidia-cublas", "tensorrt")
Level = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `harness doctor`. fix: what to do about it, "" when there is nothing to do."""

    level: Level
    subject: str
    message: str
    fix: str = ""


def describe() -> dict[str, Any]:
    """What a reader of a result needs to know of the machine; plain JSON, None where it can not be found out."""
    import psutil

    return {
        "python": platform.python_version(), "platform": platform.platform(), "machine": platform.machine(),
        "cpu": cpu_model(), "logical_cores": os.cpu_count(), "physical_cores": psutil.cpu_count(logical=False),
        "cpu_flags": machine.cpu_flags(), "cpu_frequency": machine.cpu_frequency(), "affinity": affinity(),
        "cpu_limit": container_cpu_limit(), "load": machine.load_average(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1), "memory_limit_gb": machine.memory_limit_gb(),
        "gpus": gpus(), "gpu_states": machine.gpu_states(_output(*machine.gpu_query())),
        "packages": versions(PACKAGES), "commit": git_commit(Path.cwd()), "finished": machine.now(),
    }


def diagnose(cache: Path | None = None) -> list[Finding]:
    """Everything worth knowing before a run, problems or not. cache: the folder that must be writable."""
    return [*_python(), *_onnxruntime(), *_requirements(), *_providers(), *(_cache(cache) if cache else ())]


def cpu_model() -> str | None:
    """The processor's marketing name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or None


def affinity() -> list[int] | None:
    """The logical cores this process may use, where the platform says it."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def container_cpu_limit(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores that a container's quota allows (cgroup v2, then v1), None without a limit."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def gpus() -> list[str]:
    """Name, memory and driver of each NVIDIA GPU, as nvidia-smi reports them; empty without it."""
    answer = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return answer.splitlines() if answer else []


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed distributions among `names`, found without importing them."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit(folder: Path) -> str | None:
    """The commit checked out in `folder`, with "+" when tracked files are changed; None outside of a repository."""
    commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if not commit:
        return None
    return commit + ("+" if _output("git", "-C", str(folder), "status", "--porcelain", "-uno") else "")


def _output(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}")


def _onnxruntime() -> Iterator[Finding]:
    found = versions(("onnxruntime", "onnxruntime-gpu"))
    if len(found) == 2:
        names = " and ".join(f"{name} {version}" for name, version in found.items())
        yield Finding("error", "onnxruntime", f"{names} are both installed and overwrite each other's files",
                      "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu")
    elif not found:
        yield Finding("error", "onnxruntime", "not installed", "pip install onnxruntime")


def _requirements() -> Iterator[Finding]:
    """Each installed requirement of the distribution against its own floor."""
    for name, floor in requirement_floors().items():
        have = versions((name,)).get(name)
        if have is None:
            yield Finding("error", name, f"not installed; {floor} or newer is needed", f"pip install '{name}>={floor}'")
        elif _release(have) < _release(floor):
            yield Finding("error", name, f"{have} is older than {floor}", f"pip install --upgrade '{name}>={floor}'")
        else:
            yield Finding("ok", name, have)


def requirement_floors() -> dict[str, str]:
    """Name -> lowest supported version of what the core needs; extras, and lines for other platforms, left out."""
    try:
        lines = metadata.requires("vision-harness") or []
    except metadata.PackageNotFoundError:
        return {}
    floors = {}
    for line in lines:
        found = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)\s*$", line)  # a line with a marker does not end here
        if found:
            floors[found[1]] = found[2]
    engine = next((name for name in ("onnxruntime-gpu", "onnxruntime") if versions((name,))), None)
    for line in lines:
        found = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)\s*;", line)
        if found and found[1] == engine and "extra" not in line:
            floors[found[1]] = found[2]
    return floors


def _release(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _providers() -> Iterator[Finding]:
    from harness.errors import BackendUnavailable
    from harness.onnx.providers import CPU, CUDA, nvidia_devices, provider_problem

    try:
        for provider in (CPU, CUDA):
            problem = provider_problem(provider)
            if problem is None:
                yield Finding("ok", provider, "works")
            elif provider == CUDA and nvidia_devices() == 0:
                yield Finding("ok", provider, f"not used: {problem}")
            else:
                why, _, fix = problem.partition(": ")
                yield Finding("error" if provider == CPU else "warn", provider, why, fix)
    except BackendUnavailable as error:
        yield Finding("error", "onnxruntime", str(error))


def _cache(folder: Path) -> Iterator[Finding]:
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield Finding("error", "cache", f"{folder} is not writable: {error.strerror}",
                      "make it writable, or point HARNESS_CACHE_DIR at a folder that is")
    else:
        yield Finding("ok", "cache", str(folder))
