"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, and an empty one after it. Cells are escaped, so that no name becomes markup."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*lines, *(f"| {' | '.join(map(markdown_escape, row))} |" for row in rows), ""]


def markdown_escape(text: str) -> str:
    """Text in one line that can neither end a table's cell nor become markup."""
    for char in "\\|<>`*_":
        text = text.replace(char, f"\\{char}" if char not in "<>" else {"<": "&lt;", ">": "&gt;"}[char])
    return " ".join(text.split())


def number(value: float | None) -> str:
    """Four significant digits, whole with separators from 1,000; "n/a" for None."""
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
