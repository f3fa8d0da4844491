"""CPU time of the commands that everyone waits for."""

import resource
import subprocess
import sys

import pytest

pytestmark = pytest.mark.perf


def cpu_seconds(*arguments, repetitions=5):
    """User and system time of `harness ARGUMENTS`: the least of some runs, after one that compiles the sources."""
    times = []
    for _ in range(repetitions + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "harness", *arguments], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times[1:])


@pytest.mark.parametrize(("arguments", "limit"), [(("--help",), 0.25), (("plugins", "list"), 0.6)],
                         ids=["help", "plugins-list"])
def test_startup(arguments, limit, record_property):
    seconds = cpu_seconds(*arguments)
    record_property("cpu_seconds", round(seconds, 3))
    print(f"harness {' '.join(arguments)}: {seconds:.3f} s CPU")  # noqa: T201
    assert seconds < limit
