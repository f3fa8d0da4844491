"""The pages of a site, and the page that compares runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from harness.compare.records import Comparison
from harness.compare.wording import COLUMNS, notes, row_texts, summary
from harness.history import Series
from harness.markdown import number
from harness.results import Results, verdict
from harness.site.sparkline import Sparkline, sparkline


@dataclass(frozen=True, slots=True)
class RunLink:
    """One run. name: its folder below the one that was searched; report: address of its report from the page."""

    name: str
    results: Results
    report: str

    @property
    def finished(self) -> str:
        return str(self.results.environment.get("finished") or "")

    @property
    def commit(self) -> str:
        return str(self.results.environment.get("commit") or "")

    @property
    def verdict(self) -> tuple[str, str]:
        return verdict(self.results)


@dataclass(frozen=True, slots=True)
class Trend:
    """One series with its drawing."""

    series: Series
    drawing: Sparkline
    latest: str
    changes: Sequence[tuple[str, str]]
    """("worse" or "better", in words) of each change of level."""


def index_page(suites: Mapping[str, Sequence[RunLink]], pages: Mapping[str, str], changed: Mapping[str, int],
               unreadable: Mapping[str, str]) -> str:
    """suites: name -> runs, newest first; pages: name -> address; changed: name -> series whose level got worse."""
    return _render("index.html.j2", suites=suites, pages=pages, changed=changed, unreadable=unreadable)


def suite_page(name: str, runs: Sequence[RunLink], series: Sequence[Series]) -> str:
    """Trends of one suite, those that changed first."""
    trends = [_trend(each, runs) for each in series]
    trends.sort(key=lambda trend: -sum(kind == "worse" for kind, _ in trend.changes))  # stable
    return _render("suite.html.j2", name=name, runs=runs, trends=trends)


def comparison_page(comparisons: Sequence[Comparison], series: Sequence[Series], runs: Sequence[RunLink]) -> str:
    """The runs after the first, each against the first, and every number over all of them."""
    tables = [{"title": comparison.b, "summary": summary(comparison), "notes": [*notes(comparison)],
               "rows": [(row.verdict, row_texts(row)) for row in comparison.rows]} for comparison in comparisons]
    return _render("comparison.html.j2", baseline=comparisons[0].a if comparisons else "", tables=tables,
                   columns=COLUMNS, trends=[_trend(each, runs) for each in series])


def _trend(series: Series, runs: Sequence[RunLink]) -> Trend:
    links = {run.name: run.report for run in runs}
    values = [point.value for point in series.points if point.value is not None]
    known = [point for point in series.points if point.value is not None]
    changes = []
    for change in series.changes:
        levels = f"{_with_unit(change.before, series.unit)} → {_with_unit(change.after, series.unit)}"
        where = known[change.index].commit or known[change.index].run
        changes.append(("worse" if change.worse else "better", f"{levels} at {where}"))
    return Trend(series, sparkline(series, links), _with_unit(values[-1], series.unit) if values else "n/a", changes)


def _with_unit(value: float, unit: str) -> str:
    """A share in percent, anything else with its unit."""
    return f"{100 * value:.2f} %" if unit == "fraction" else f"{number(value)} {unit}".strip()


def _render(template: str, **content: Any) -> str:
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined,
                                     loader=jinja2.FunctionLoader(_asset))
    return environment.get_template(template).render(**content)


def _asset(name: str) -> str:
    return files("harness.site").joinpath(name).read_text(encoding="utf-8")
