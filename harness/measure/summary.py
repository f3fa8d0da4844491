"""From raw nanoseconds to the numbers of a latency cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.contracts import Timing
from harness.intervals import FEWEST_ROUNDS, median_over_rounds, ratio_of_sums
from harness.measure.clocks import MS, SECOND, Nanoseconds
from harness.measure.percentiles import FRACTIONS, MIN_QUERIES, early_stopping_estimate, percentile
from harness.measure.validity import NEVER, latencies
from harness.results import LatencyResult
from harness.stats import Interval, block_bootstrap_median


def latency_result(turns: Sequence[Timing], scenario: str, batch: int, threads: int, *, invalid: str | None = None,
                   seed: int = 0) -> LatencyResult:
    """Milliseconds per query, samples per second, and the reason for every percentile that is not given.

    turns: of one cell, a round each; invalid: why the measurement is not valid, None when it is. Throughput, CPU time,
    energy and mean are those of the queries that were served; percentiles are those of all.
    """
    samples, served = latencies(turns), sum(turn.served for turn in turns)
    times, elapsed = samples[samples < NEVER], sum(turn.elapsed_ns for turn in turns)
    notes = dict.fromkeys(turn.note for turn in turns if turn.note)
    return LatencyResult(
        scenario=scenario, batch=batch, threads=threads, n=sum(turn.queries for turn in turns), **_percentiles(samples),
        mean_ms=float(times.mean()) * MS if len(times) else None,
        cpu_ms=sum(turn.cpu_ns for turn in turns) / served * MS if served else None,
        queueing=_queueing(turns), energy_mj=_energy(turns, lambda turn: turn.joules),
        gpu_energy_mj=_energy(turns, lambda turn: turn.gpu_joules),
        throughput=served * batch * SECOND / elapsed if elapsed else None,
        throughput_ci=_throughput_interval(turns, batch, seed),
        ci=_median_interval(turns, samples, seed), rounds=_medians(turns), parts=_parts(turns), valid=invalid is None,
        why="; ".join(filter(None, [invalid, *notes, _unknown(samples, served)])) or None,
    )


def _percentiles(samples: Nanoseconds) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, fraction in FRACTIONS.items():
        enough = len(samples) >= MIN_QUERIES[name]
        found[f"{name}_ms"] = _milliseconds(percentile(samples, fraction) if enough else None)
        found[f"{name}_early_stopping_ms"] = _milliseconds(early_stopping_estimate(samples, fraction))
    return found


def _milliseconds(time: int | None) -> float | None:
    """None for that of a query that was not served, too: nobody knows how long it would have taken."""
    return None if time is None or time == NEVER else time * MS


def _medians(turns: Sequence[Timing]) -> list[float]:
    """Of each turn in milliseconds; none where one of them is not known, so that they stay pairs of another cell's."""
    medians = [float(np.median(times)) for turn in turns if len(times := latencies([turn]))]
    return [median * MS for median in medians] if max(medians, default=0) < NEVER / 2 else []


def _median_interval(turns: Sequence[Timing], samples: Nanoseconds, seed: int) -> Interval | None:
    if len(samples) < MIN_QUERIES["p50"]:
        return None
    if len(turns) >= FEWEST_ROUNDS:
        interval: Interval | None = median_over_rounds([latencies([turn]) for turn in turns], seed=seed)
    else:
        interval = block_bootstrap_median(samples, seed=seed)
    longest = samples[samples < NEVER].max(initial=0)
    return None if interval is None or interval[1] > longest else (interval[0] * MS, interval[1] * MS)


def _throughput_interval(turns: Sequence[Timing], batch: int, seed: int) -> Interval | None:
    if len(turns) < FEWEST_ROUNDS or not all(turn.elapsed_ns for turn in turns):
        return None
    done = np.array([turn.served * batch * SECOND for turn in turns], np.float64)
    return ratio_of_sums(done, np.array([turn.elapsed_ns for turn in turns], np.float64), seed=seed)


def _queueing(turns: Sequence[Timing]) -> float | None:
    shares = [turn.queueing for turn in turns if turn.queueing is not None]
    return float(np.mean(shares)) if shares else None


def _energy(turns: Sequence[Timing], used: Callable[[Timing], float | None]) -> float | None:
    """Millijoules per query, those that only settled included; the first turn has its long warm-up and is left out."""
    later = [(joules, turn.served + turn.warmup_queries) for turn in turns[1:]
             if (joules := used(turn)) is not None]
    queries = sum(count for _, count in later)
    return 1e3 * sum(joules for joules, _ in later) / queries if queries else None


def _parts(turns: Sequence[Timing]) -> dict[str, float]:
    names = dict.fromkeys(name for turn in turns for name in turn.parts)
    return {name: float(np.median(np.concatenate([turn.parts[name] for turn in turns if name in turn.parts]))) * MS
            for name in names}


def _unknown(samples: Nanoseconds, served: int) -> str | None:
    """Why percentiles are null; a scenario that measures only the whole says so itself."""
    n = len(samples)
    if served > n:
        return None
    missing = [f"{name} needs {least}" for name, least in MIN_QUERIES.items() if n < least]
    lost = [name for name, least in MIN_QUERIES.items() if n >= least and percentile(samples, FRACTIONS[name]) == NEVER]
    reasons = [f"{n} queries: " + ", ".join(missing) if missing else None,
               f"{', '.join(lost)}: of a query that was not served" if lost else None]
    return "; ".join(filter(None, reasons)) or None
