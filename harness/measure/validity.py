"""VALID or INVALID, by LoadGen's conditions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.contracts import Timing
from harness.measure.clocks import MS, SECOND, Nanoseconds
from harness.measure.percentiles import early_stopping_queries, percentile

NEVER = np.iinfo(np.int64).max
"""The latency of a query that was not served: above any bound."""


def latencies(turns: Sequence[Timing]) -> Nanoseconds:
    """Of all queries of all turns, NEVER of those that were not served; how long they had waited says nothing of it."""
    parts = [np.empty(0, np.int64)]
    for turn in turns:
        served = turn.nanoseconds[: turn.served]
        parts += [served, np.full(len(turn.nanoseconds) - len(served), NEVER, np.int64)]
    return np.concatenate(parts)


def invalidity(parts: Sequence[Timing], *, min_queries: int, min_duration_s: float, target: float,
               bound_ms: float | None = None) -> str | None:
    """Why a measurement is not valid, or None.

    parts: all turns; target: the percentile it is judged by, a fraction; bound_ms: what that percentile must not
    exceed. With a bound, early stopping counts the queries above it; without one, it wants the least number of
    queries that has an early-stopping estimate.
    """
    samples = latencies(parts)
    n, seconds = len(samples), sum(part.elapsed_ns for part in parts) / SECOND
    name = f"p{100 * target:g}"
    reasons = []
    if n < min_queries:
        reasons.append(f"{n} of at least {min_queries} queries")
    if seconds < min_duration_s:
        reasons.append(f"{seconds:.3g} of at least {min_duration_s:g} s")
    over = 1 if bound_ms is None else int((samples * MS > bound_ms).sum())
    needed = early_stopping_queries(target, over)
    if n < needed:
        above = "" if bound_ms is None else f" with {over} above {bound_ms:g} ms"
        reasons.append(f"{name} needs {needed} queries{above} by early stopping, there are {n}")
    if bound_ms is not None and n and (reached := percentile(samples, target)) * MS > bound_ms:
        found = "of a query that was not served" if reached == NEVER else f"{reached * MS:.4g} ms"
        reasons.append(f"{name} is {found}, the bound is {bound_ms:g} ms")
    return "; ".join(reasons) or None
