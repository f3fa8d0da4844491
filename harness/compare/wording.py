"""The cells of a comparison's table, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.compare.records import Comparison, ComparisonRow
from harness.markdown import markdown_escape, markdown_table, number

COLUMNS = ("cell", "metric", "A", "B", "change", "95 % interval", "p adj.", "detectable", "verdict")


def row_texts(row: ComparisonRow) -> list[str]:
    """One text for each of COLUMNS."""
    return [row.cell, row.metric, _value(row.a, row), _value(row.b, row), _change(row.change, row),
            f"[{_bare(row.ci[0], row)}, {_bare(row.ci[1], row)}]" if row.ci else "",
            "" if row.p_adjusted is None else "<0.001" if row.p_adjusted < 0.001 else f"{row.p_adjusted:.3f}",
            _change(row.minimum_detectable, row).lstrip("+"), row.verdict]


def notes(comparison: Comparison) -> Iterator[str]:
    """What the table does not say, a line each."""
    for warning in comparison.warnings:
        yield f"compared nevertheless: {warning}"
    for note in dict.fromkeys(row.note for row in comparison.rows if row.note):
        keys = [f"{row.cell} {row.metric}" for row in comparison.rows if row.note == note]
        yield f"{_some(keys)}: {note}"
    for key, why in comparison.unmatched.items():
        yield f"{key}: {why}"


def summary(comparison: Comparison) -> str:
    """The outcome in one line."""
    tested = sum(row.p is not None for row in comparison.rows)
    worse = len(comparison.regressions)
    allowed = f" beyond {100 * comparison.tolerance:g} %" if comparison.tolerance else ""
    text = f"{worse} regression{'' if worse == 1 else 's'}{allowed} in {tested} tested of {len(comparison.rows)} rows"
    lost = len(comparison.lost)
    return text + (f"; {lost} cell{'' if lost == 1 else 's'} of A not measured in B" if lost else "")


def markdown(comparison: Comparison) -> str:
    """For a pull request or a job summary."""
    lines = [f"# {markdown_escape(comparison.a)} → {markdown_escape(comparison.b)}", "", summary(comparison), ""]
    lines += markdown_table(COLUMNS, map(row_texts, comparison.rows))
    lines += [f"* {markdown_escape(note)}" for note in notes(comparison)]
    return "\n".join(lines) + "\n"


def _value(value: float | None, row: ComparisonRow) -> str:
    return f"{100 * value:.2f}%" if value is not None and row.unit == "fraction" else number(value)


def _change(value: float | None, row: ComparisonRow) -> str:
    """Of a fraction in percentage points, of a latency in percent, of anything else in its unit."""
    if value is None:
        return ""
    if row.unit == "fraction":
        return f"{100 * value:+.2f}pp"
    return f"{100 * value:+.1f}%" if row.unit == "ms" else f"{value:+.3g}"


def _bare(value: float, row: ComparisonRow) -> str:
    return _change(value, row).rstrip("%p")


def _some(keys: Sequence[str]) -> str:
    return keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
