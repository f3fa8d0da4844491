"""What a comparison of two runs says: rows of a table, and what could not be compared."""

from __future__ import annotations

from typing import Literal

from harness.results import Number, Record

Verdict = Literal["regression", "improvement", "no difference", "advisory", "not tested"]
Test = Literal["paired bootstrap", "McNemar", "signed-rank", "none"]
Lost = Literal["failed", "skipped", "missing"]


class ComparisonRow(Record):
    """One number in both runs; the change is from A to B."""

    cell: str
    """Key of the cell."""
    metric: str
    """Result name, or a latency field."""
    a: Number
    """Value in run A."""
    b: Number
    """Value in run B."""
    unit: str = ""
    """Of both values."""
    change: Number = None
    """b - a; for latencies b / a - 1."""
    ci: tuple[float, float] | None = None
    """95 % interval of the change."""
    loss: Number = None
    """Relative to the absolute value of a (of b where a is 0), positive when b is worse."""
    p: Number = None
    """Two-sided, of no change at all; of a latency, of none beyond 1 %."""
    p_adjusted: Number = None
    """Benjamini-Hochberg over all rows that were tested and where anything differs."""
    minimum_detectable: Number = None
    """The change that a test with these samples finds in 80 % of cases; in the unit of `change`."""
    n: int | None = None
    """Paired samples, or rounds."""
    test: Test = "none"
    """How p was found."""
    verdict: Verdict = "not tested"
    """A regression is significant (p_adjusted < 0.05) and its loss exceeds the tolerance."""
    note: str = ""
    """Why it is advisory or was not tested."""


class Comparison(Record):
    """Two runs beside each other."""

    a: str
    """Folder or file of run A, the baseline."""
    b: str
    """Folder or file of run B."""
    tolerance: float = 0.0
    """Loss up to which a significant change is no regression."""
    rows: list[ComparisonRow] = []
    """In the order of run B."""
    unmatched: dict[str, str] = {}
    """Cells without a counterpart, and why."""
    lost: dict[str, Lost] = {}
    """Cells that run A measured and run B did not, and what became of them in B."""
    warnings: list[str] = []
    """Differences between the runs that --force passed over."""

    @property
    def regressions(self) -> list[ComparisonRow]:
        return [row for row in self.rows if row.verdict == "regression"]
