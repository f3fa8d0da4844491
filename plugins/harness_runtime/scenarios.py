"""When queries are issued."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Timing, closed_loop
from harness_runtime.params import SingleStreamParams


class SingleStream:
    """A contracts.Scenario: the closed loop of harness.measure."""

    def __init__(self, params: SingleStreamParams) -> None:
        self._params = params

    def measure(self, query: Callable[[], None]) -> Timing:
        return closed_loop(query, **self._params.model_dump())
