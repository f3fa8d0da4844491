"""Whether something else disturbed the machine.

Two signs are read. Whoever has to wait for a core is told so by the scheduler (`queueing`); what slows a core down
itself, or comes from outside a virtual machine, shows in a fixed piece of work that is timed again and again.

The work is hashing a buffer that fits the innermost cache, some 2 ms of it: one loop of machine code, which allocates
nothing and takes the same time within 3 % whenever a quiet machine runs it. (Bytecode does not: a loop of the
interpreter varies by 30 % from one run to the next.) Where more than a fifth of the spins beside a measurement are more
than 10 % slower than the fastest spin of all, the measurement is marked, as it is where threads waited for more than
2 % of the time. (Quiet: below 0.3 %. A spin alone would miss it: a process that has slept is let in at once.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns

_TARGET_NS = 2_000_000
_SLOWER = 1.10
_SHARE = 0.2
_QUEUEING = 0.02
_TRIAL = 20
_BUFFER = bytes(16384)


def _work(steps: int) -> None:
    digest = hashlib.sha256()
    for _ in range(steps):
        digest.update(_BUFFER)


@dataclass(slots=True)
class Spin:
    """Spins of equal work. steps: found by the first; times: nanoseconds of each."""

    clock: Callable[[], int] = perf_counter_ns
    work: Callable[[int], None] = _work
    steps: int = 0
    times: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        fastest = min(self._timed(_TRIAL) for _ in range(5))
        self.steps = max(1, round(_TRIAL * _TARGET_NS / max(fastest, 1)))

    def __call__(self) -> int:
        """Spin once; the index of this spin."""
        self.times.append(self._timed(self.steps))
        return len(self.times) - 1

    def noisy(self, beside: Sequence[int], queueing: float | None = None) -> bool:
        """Whether the spins with these indices, or the time that was spent waiting, show a disturbance."""
        if queueing is not None and queueing > _QUEUEING:
            return True
        limit = _SLOWER * min(self.times)
        slow = sum(self.times[index] > limit for index in beside)
        return slow > _SHARE * len(beside)

    def _timed(self, steps: int) -> int:
        start = self.clock()
        self.work(steps)
        return self.clock() - start
