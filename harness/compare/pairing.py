"""Paired tests of two runs on the same samples; corrections for many of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.compare.records import Test
from harness.contracts import Scalar, Summary
from harness.stats import Z_975, Interval
from harness.table import Ragged, Table

Floats = NDArray[np.float64]
ALPHA = 0.05
POWER_Z = Z_975 + 0.8416212335729143
"""Normal quantiles of 97.5 % and 80 %: a change of so many standard errors is found in 80 % of cases."""
_TAILS = (0.025, 0.975)
_MOST_SINGLE = 20_000
"""Samples up to which each one's contribution is looked at, to find proportions."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one scalar: b - a, its 95 % interval, two-sided p, standard error."""

    a: Scalar
    b: Scalar
    ci: Interval | None
    p: float | None
    error: float | None
    test: Test

    @property
    def minimum_detectable(self) -> float | None:
        return None if not self.error else POWER_Z * self.error


def paired(summarize: Callable[[Table], Summary], a: Table, b: Table, replicates: int,
           seed: int) -> dict[str, Difference]:
    """Every scalar that both have, by result suffix. a, b: rows of the same samples in the same order.

    A proportion of samples that are right or wrong is tested by McNemar's exact test on the discordant pairs, anything
    else by a paired bootstrap: the same samples are drawn for both. A p that only the number of replicates keeps from
    being smaller is that of Student's t. Deterministic by (rows, replicates, seed).
    """
    ours, theirs = summarize(a).scalars, summarize(b).scalars
    names = [name for name in theirs if name in ours]
    if same(a, b):
        return {name: Difference(ours[name], theirs[name], (0.0, 0.0), 1.0, None, "paired bootstrap")
                for name in names}
    binary = _binary(summarize, a, b, names)
    found = {name: _mcnemar(ours[name], theirs[name], *binary[name], replicates, seed) for name in binary}
    rest = [name for name in names if name not in binary]
    drawn = _bootstrap(summarize, a, b, rest, replicates, seed) if rest else {}
    return {name: found.get(name) or _from_replicates(ours[name], theirs[name], drawn[name], a.rows)
            for name in names}


def same(a: Table, b: Table) -> bool:
    """Whether the rows are equal in every column, NaN included."""
    return set(a) == set(b) and all(_equal(a[name], b[name]) for name in a)


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """p adjusted for the false discovery rate (Benjamini & Hochberg 1995), in the given order."""
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    adjusted, least = [1.0] * len(values), 1.0
    for position, index in enumerate(order):
        least = min(least, values[index] * len(values) / (len(values) - position))
        adjusted[index] = least
    return adjusted


def mcnemar_p(lost: int, won: int) -> float:
    """Two-sided exact p of McNemar's test: pairs that only one of the two has right, by a fair coin."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(lost, won), lost + won, 0.5))) if lost + won else 1.0


def _equal(one: NDArray[np.float64] | Ragged, other: NDArray[np.float64] | Ragged) -> bool:
    if isinstance(one, Ragged) or isinstance(other, Ragged):
        return (isinstance(one, Ragged) and isinstance(other, Ragged)
                and np.array_equal(one.offsets, other.offsets) and _equal(one.values, other.values))
    floating = np.issubdtype(one.dtype, np.inexact) and np.issubdtype(other.dtype, np.inexact)
    return np.array_equal(one, other, equal_nan=floating)


def _binary(summarize: Callable[[Table], Summary], a: Table, b: Table,
            names: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
    """Of scalars that are a share of samples: whether each one counts, in both runs."""
    point = summarize(a).scalars
    wanted = [name for name in names if point[name].proportion and point[name].n == a.rows]
    if not wanted or a.rows > _MOST_SINGLE:
        return {}
    ours, theirs = _singles(summarize, a, wanted), _singles(summarize, b, wanted)
    return {name: (ours[name], theirs[name]) for name in wanted
            if all(np.isin(each, (0.0, 1.0)).all() for each in (ours[name], theirs[name]))}


def _singles(summarize: Callable[[Table], Summary], rows: Table, names: Sequence[str]) -> dict[str, Floats]:
    each = [summarize(rows.take(np.array([index]))).scalars for index in range(rows.rows)]
    return {name: np.array([_value(one.get(name)) for one in each]) for name in names}


def _mcnemar(a: Scalar, b: Scalar, ours: Floats, theirs: Floats, replicates: int, seed: int) -> Difference:
    n, lost, won = len(ours), int((ours > theirs).sum()), int((ours < theirs).sum())
    drawn = np.random.default_rng(seed).multinomial(n, [lost / n, won / n, 1 - (lost + won) / n], max(replicates, 1000))
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, _TAILS)
    error = math.sqrt(lost + won - (won - lost) ** 2 / n) / n
    return Difference(a, b, (float(low), float(high)), mcnemar_p(lost, won), error, "McNemar")


def _bootstrap(summarize: Callable[[Table], Summary], a: Table, b: Table, names: Sequence[str], replicates: int,
               seed: int) -> dict[str, Floats]:
    """Differences of each replicate; NaN where one was not evaluable."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(replicates):
        drawn = rng.integers(0, a.rows, a.rows)
        ours, theirs = summarize(a.take(drawn)).scalars, summarize(b.take(drawn)).scalars
        for name in names:
            found[name].append(_value(theirs.get(name)) - _value(ours.get(name)))
    return {name: np.array(values) for name, values in found.items()}


def _from_replicates(a: Scalar, b: Scalar, drawn: Floats, n: int) -> Difference:
    finite = drawn[np.isfinite(drawn)]
    if a.value is None or b.value is None or len(finite) < 2 or 2 * len(finite) < len(drawn):
        return Difference(a, b, None, None, None, "none")
    low, high = np.quantile(finite, _TAILS)
    error = float(finite.std(ddof=1))
    tail = min((finite <= 0).sum(), (finite >= 0).sum())
    p = min(1.0, 2 * float(tail + 1) / (len(finite) + 1))
    if not tail:
        p = min(p, _student(b.value - a.value, error, n))
    p = max(p, 2.0 ** (1 - n))  # a sign-flip test of n pairs can not give less
    return Difference(a, b, (float(low), float(high)), p, error, "paired bootstrap")


def _student(change: float, error: float, n: int) -> float:
    """Two-sided p of a change of n pairs by its standard error, which a bootstrap of few pairs finds too small."""
    from scipy.stats import t

    if n < 2:
        return 1.0
    return 2 * float(t.sf(abs(change) / error * math.sqrt((n - 1) / n), n - 1)) if error else 0.0


def _value(scalar: Scalar | None) -> float:
    return math.nan if scalar is None or scalar.value is None else scalar.value
