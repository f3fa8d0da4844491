"""For pytest: `pytest suite.toml`, or `--harness-suite FILE` beside other tests.

Every latency cell of the suite becomes a benchmark for pytest-benchmark, every gate a test. Only files that are named
on the command line or by the option are read; without one, this plugin imports nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.pytest_items import SuiteFile

_FILES = pytest.StashKey[list["SuiteFile"]]()
_PROBLEMS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "benchmarks and gates of harness suites")
    group.addoption("--harness-suite", action="append", default=[], metavar="FILE", type=Path,
                    help="Collect this suite: latency cells as benchmarks, gates as tests. Repeatable.")
    group.addoption("--harness-profile", metavar="NAME", help="Apply [profiles.NAME] of the suites.")
    group.addoption("--harness-allow-new", action="store_true",
                    help="A benchmark that the compared run does not have is no error.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FILES], config.stash[_PROBLEMS] = [], []
    for path in config.getoption("harness_suite"):
        if not path.is_file():
            raise pytest.UsageError(f"--harness-suite {path}: no such file")
        config.args.append(str(path))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    named = parent.session.isinitpath(file_path) or _asked_for(parent.config, file_path)
    if file_path.suffix != ".toml" or not named:
        return None
    if not any(parent.config.pluginmanager.hasplugin(name) for name in ("benchmark", "pytest_benchmark.plugin")):
        raise pytest.UsageError(f"{file_path}: benchmarks need pytest-benchmark: pip install 'vision-harness[pytest]'")
    if parent.config.getoption("dist", "no") != "no" or hasattr(parent.config, "workerinput"):
        raise pytest.UsageError(f"{file_path}: latency can not be measured beside other tests: run suites without "
                                "pytest-xdist (-n 0)")
    from harness.pytest_items import SuiteFile

    suite: SuiteFile = SuiteFile.from_parent(parent, path=file_path)
    parent.config.stash[_FILES].append(suite)
    return suite


def _asked_for(config: pytest.Config, path: Path) -> bool:
    """pytest drops an argument that lies in the folder of another."""
    return path in [config.invocation_params.dir / each for each in config.getoption("harness_suite")]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After pytest-benchmark has loaded what it compares with."""
    benchmarks = getattr(session.config, "_benchmarksession", None)
    files = session.config.stash[_FILES]
    if not files or benchmarks is None or not benchmarks.compared_mapping:
        return
    problems = list(_unmatched(session.config, files, benchmarks))
    session.config.stash[_PROBLEMS] += problems
    if problems and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    problems = terminalreporter.config.stash[_PROBLEMS]
    if problems:
        terminalreporter.section("harness: benchmarks without a counterpart", sep="=", red=True)
        for problem in problems:
            terminalreporter.line(problem, red=True)


def _unmatched(config: pytest.Config, files: list[SuiteFile], benchmarks: Any) -> Iterator[str]:
    """A renamed benchmark is in one run only; pytest-benchmark alone would not check it at all."""
    readable = {file.path: file for file in files if file.benchmarks is not None}.values()  # pytest may ask twice
    collected = Counter(name for file in readable for name in file.benchmarks or ())
    for name in (name for name, count in collected.items() if count > 1):
        yield f"{name}: in more than one suite, so nobody knows which was compared; give them names of their own"
    measured = collected.keys() & {benchmark.fullname for benchmark in benchmarks.benchmarks if benchmark}
    suites = tuple(file.prefix for file in readable)
    for path, stored in benchmarks.compared_mapping.items():
        known = {name for name in stored if name.startswith(suites)}
        for name in sorted(known - collected.keys()):
            yield f"{name}: in {path} and no longer in the suite; renamed?"
        for name in sorted(measured - known) if not config.getoption("harness_allow_new") else ():
            yield f"{name}: not in {path}, so nothing was compared; --harness-allow-new accepts it"
