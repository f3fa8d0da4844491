"""From raw nanoseconds to the numbers of a latency cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.contracts import Timing
from harness.intervals import FEWEST_ROUNDS, median_over_rounds, ratio_of_sums
from harness.measure.clocks import MS, SECOND, Nanoseconds
from harness.measure.percentiles import FRACTIONS, MIN_QUERIES, early_stopping_estimate, percentile
from harness.results import LatencyResult
from harness.stats import Interval, block_bootstrap_median

NO_SAMPLES: Nanoseconds = np.empty(0, np.int64)


def latency_result(turns: Sequence[Timing], scenario: str, batch: int, threads: int, *, invalid: str | None = None,
                   seed: int = 0) -> LatencyResult:
    """Milliseconds per query, samples per second, and the reason for every percentile that is not given.

    turns: of one cell, a round each; invalid: why the measurement is not valid, None when it is.
    """
    samples = np.concatenate([turn.nanoseconds for turn in turns]) if turns else NO_SAMPLES
    n, elapsed = len(samples), sum(turn.elapsed_ns for turn in turns)
    notes = dict.fromkeys(turn.note for turn in turns if turn.note)
    return LatencyResult(
        scenario=scenario, batch=batch, threads=threads, n=n, **_percentiles(samples),
        mean_ms=float(samples.mean()) * MS if n else None,
        cpu_ms=sum(turn.cpu_ns for turn in turns) / n * MS if n else None,
        queueing=_queueing(turns), energy_mj=_energy(turns, lambda turn: turn.joules),
        gpu_energy_mj=_energy(turns, lambda turn: turn.gpu_joules),
        throughput=n * batch * SECOND / elapsed if elapsed else None,
        throughput_ci=_throughput_interval(turns, batch, seed),
        ci=_median_interval(turns, samples, seed),
        rounds=[float(np.median(turn.nanoseconds)) * MS for turn in turns if len(turn.nanoseconds)],
        parts=_parts(turns), valid=invalid is None, why="; ".join(filter(None, [invalid, *notes, _too_few(n)])) or None,
    )


def _percentiles(samples: Nanoseconds) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, fraction in FRACTIONS.items():
        enough = len(samples) >= MIN_QUERIES[name]
        estimate = early_stopping_estimate(samples, fraction)
        found[f"{name}_ms"] = percentile(samples, fraction) * MS if enough else None
        found[f"{name}_early_stopping_ms"] = None if estimate is None else estimate * MS
    return found


def _median_interval(turns: Sequence[Timing], samples: Nanoseconds, seed: int) -> Interval | None:
    if len(samples) < MIN_QUERIES["p50"]:
        return None
    if len(turns) >= FEWEST_ROUNDS:
        interval: Interval | None = median_over_rounds([turn.nanoseconds for turn in turns], seed=seed)
    else:
        interval = block_bootstrap_median(samples, seed=seed)
    return None if interval is None else (interval[0] * MS, interval[1] * MS)


def _throughput_interval(turns: Sequence[Timing], batch: int, seed: int) -> Interval | None:
    if len(turns) < FEWEST_ROUNDS or not all(turn.elapsed_ns for turn in turns):
        return None
    done = np.array([len(turn.nanoseconds) * batch * SECOND for turn in turns], np.float64)
    return ratio_of_sums(done, np.array([turn.elapsed_ns for turn in turns], np.float64), seed=seed)


def _queueing(turns: Sequence[Timing]) -> float | None:
    shares = [turn.queueing for turn in turns if turn.queueing is not None]
    return float(np.mean(shares)) if shares else None


def _energy(turns: Sequence[Timing], used: Callable[[Timing], float | None]) -> float | None:
    """Millijoules per query, those that only settled included; the first turn has its long warm-up and is left out."""
    later = [(joules, len(turn.nanoseconds) + turn.warmup_queries) for turn in turns[1:]
             if (joules := used(turn)) is not None]
    queries = sum(count for _, count in later)
    return 1e3 * sum(joules for joules, _ in later) / queries if queries else None


def _parts(turns: Sequence[Timing]) -> dict[str, float]:
    names = dict.fromkeys(name for turn in turns for name in turn.parts)
    return {name: float(np.median(np.concatenate([turn.parts[name] for turn in turns if name in turn.parts]))) * MS
            for name in names}


def _too_few(n: int) -> str | None:
    missing = [f"{name} needs {least}" for name, least in MIN_QUERIES.items() if n < least]
    return f"{n} queries: " + ", ".join(missing) if missing else None
