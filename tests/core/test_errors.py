"""Messages and exit codes of handled errors."""

from pathlib import Path

import pytest

from harness.errors import (
    EXIT_CELLS,
    EXIT_PLUGIN,
    EXIT_USAGE,
    BackendUnavailable,
    CellError,
    DataError,
    MissingDependency,
    ModelFileError,
    PluginError,
    Problem,
    SuiteError,
    TaskMismatch,
    UsageError,
    did_you_mean,
    format_path,
    one_of,
)

FILE = Path("suite.toml")


@pytest.mark.parametrize(("line", "path", "text"), [
    (14, ("models", "heatmap", "devise"), "suite.toml:14  models.heatmap.devise: wrong"),
    (None, ("bench", 0, "models", 2), "suite.toml  bench[0].models[2]: wrong"),
    (3, (), "suite.toml:3  wrong"),
])
def test_a_problem_says_where(line, path, text):
    assert str(Problem(FILE, line, path, "wrong")) == text


def test_a_path_of_array_elements():
    assert format_path(("latency", 0, 1, "batch")) == "latency[0][1].batch"


def test_problems_are_sorted_by_line_and_given_once():
    late, early, nowhere = (Problem(FILE, line, ("key",), "wrong") for line in (10, 9, None))
    error = SuiteError([late, early, nowhere, late])
    assert error.problems == (nowhere, early, late)
    assert str(error).splitlines() == [str(nowhere), str(early), str(late)]


@pytest.mark.parametrize(("codes", "expected"), [
    ([EXIT_USAGE], EXIT_USAGE),
    ([EXIT_PLUGIN, EXIT_PLUGIN], EXIT_PLUGIN),
    ([EXIT_PLUGIN, EXIT_USAGE], EXIT_USAGE),
    ([EXIT_USAGE, EXIT_PLUGIN], EXIT_USAGE),
])
def test_an_invalid_suite_outranks_a_broken_plugin(codes, expected):
    problems = [Problem(FILE, line, (), "wrong", code) for line, code in enumerate(codes, 1)]
    assert SuiteError(problems).exit_code == expected


def test_exit_codes():
    assert UsageError.exit_code == EXIT_USAGE
    assert PluginError.exit_code == EXIT_PLUGIN
    assert {error.exit_code for error in (CellError, ModelFileError, DataError, TaskMismatch, BackendUnavailable)} == {
        EXIT_CELLS}


def test_suggestions():
    assert did_you_mean("devise", ["device", "threads"]) == '; did you mean "device"?'
    assert did_you_mean("zzz", ["device"]) == did_you_mean("x", []) == ""


def test_enumerations_are_sorted_and_bounded():
    assert one_of(["b", "a"]) == "a, b"
    assert one_of([]) == "none"
    assert one_of(map(str, range(10, 40)), most=2) == "10, 11, ... (30 in all)"


def test_a_missing_dependency_ends_in_the_command():
    assert str(MissingDependency("torch", "train", "`harness train`")).endswith("pip install 'vision-harness[train]'")
