"""Whether something else disturbed the machine: a fixed piece of work, timed again and again.

The work is arithmetic in the interpreter, some 2 ms of it. On a quiet machine it takes the same time whenever it is
run; where more than a fifth of the spins beside a measurement are more than 10 % slower than the fastest spin of all,
the measurement is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns

_TARGET_NS = 2_000_000
_SLOWER = 1.10
_SHARE = 0.2


def _work(steps: int) -> None:
    for _ in range(steps):
        pass


@dataclass(slots=True)
class Spin:
    """Spins of equal work. steps: found by the first; times: nanoseconds of each."""

    clock: Callable[[], int] = perf_counter_ns
    work: Callable[[int], None] = _work
    steps: int = 0
    times: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        trial = 10_000
        fastest = min(self._timed(trial) for _ in range(5))
        self.steps = max(1, round(trial * _TARGET_NS / max(fastest, 1)))

    def __call__(self) -> int:
        """Spin once; the index of this spin."""
        self.times.append(self._timed(self.steps))
        return len(self.times) - 1

    def noisy(self, beside: Sequence[int]) -> bool:
        """Whether the spins with these indices show a disturbance."""
        limit = _SLOWER * min(self.times)
        slow = sum(self.times[index] > limit for index in beside)
        return slow > _SHARE * len(beside)

    def _timed(self, steps: int) -> int:
        start = self.clock()
        self.work(steps)
        return self.clock() - start
