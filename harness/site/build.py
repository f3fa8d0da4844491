"""Writing pages over several runs, and the reports that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from harness.compare.records import Comparison
from harness.errors import HandledError
from harness.files import write_text
from harness.history import read_runs, series_of
from harness.results import Results
from harness.rundir import REPORT, RESULTS
from harness.site.pages import RunLink, comparison_page, index_page, suite_page

_LONGEST = 100
"""Characters of a suite's name in the name of its page."""
WriteReport = Callable[[Results, Path, Path], Path | None]
"""write(results, folder of the run, folder of the report) -> the report, None where nothing makes one."""


def publish(folder: Path, output: Path, write: WriteReport) -> list[Path]:
    """A site over the finished runs in a folder and below it; returns its pages. Raises UsageError without runs.

    Runs that can not be read, and those without a report because it could not be made, are named on the first page. A
    report that is there already and newer than its run's results is kept.
    """
    runs, found = read_runs(folder)
    unreadable = {**found}
    suites: dict[str, list[tuple[str, Results]]] = {}
    for name, results in runs:
        suites.setdefault(str(results.suite.get("suite", {}).get("name", "run")), []).append((name, results))
    links: dict[str, list[RunLink]] = {}
    changed, pages = {}, {}
    for suite, members in sorted(suites.items()):
        series = series_of(members)
        changed[suite] = sum(any(change.worse for change in each.changes) for each in series)
        pages[suite] = f"suites/{_file(suite)}.html"
        links[suite] = [RunLink(name, results, _report(name, results, folder, output, write, unreadable))
                        for name, results in reversed(members)]
        deeper = [replace(run, report=run.report and f"../{run.report}") for run in links[suite]]
        write_text(output / pages[suite], suite_page(suite, deeper, series))
    write_text(output / "index.html", index_page(links, pages, changed, unreadable))
    return [output / "index.html", *(output / page for page in pages.values())]


def compare_runs(comparisons: Sequence[Comparison], runs: Sequence[tuple[str, Results]], output: Path) -> Path:
    """The page that holds runs against the first of them; runs: (what the user named, results), in that order."""
    path = output / "comparison.html"
    links = [RunLink(name, results, "") for name, results in runs]
    write_text(path, comparison_page(comparisons, series_of(runs), links))
    return path


def _report(name: str, results: Results, folder: Path, output: Path, write: WriteReport,
            unreadable: dict[str, str]) -> str:
    """The address of a run's report below the site, made where it is not there yet; "" where nothing makes one."""
    place = output / "runs" / name
    report: Path | None = place / REPORT
    try:
        if not _newer(place / REPORT, folder / name / RESULTS):
            report = write(results, folder / name, place)
    except (HandledError, OSError) as error:
        unreadable[name] = f"there is no report: {error}"
        return ""
    return "" if report is None else quote(report.relative_to(output).as_posix())


def _newer(report: Path, results: Path) -> bool:
    return report.is_file() and report.stat().st_mtime >= results.stat().st_mtime


def _file(name: str) -> str:
    """A file name of its own for each name; a file system may not tell upper from lower case."""
    plain = "".join(char if (char.isascii() and char.isalnum()) or char in "._-" else "_" for char in name)
    changed = plain != name or name != name.lower()
    return f"{plain[:_LONGEST]}-{sha256(name.encode()).hexdigest()[:8]}" if changed or len(name) > _LONGEST else name
