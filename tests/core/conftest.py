"""Suites as text, read against the first-party plugins and a few fakes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import SuiteError
from harness.host import Host
from harness.plan import Plan, make_plan
from harness.reading import read_suite
from harness.suite import Suite

FIRST_PARTY = ("harness_keypoints", "harness_classification", "harness_onnx", "harness_runtime", "harness_reports")
FAKES = Path(__file__).parents[1] / "fixtures" / "fakes"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The first-party plugins and tests/fixtures/fakes."""
    monkeypatch.syspath_prepend(FAKES)
    return Host.of(*map(importlib.import_module, (*FIRST_PARTY, "fake_plugin")))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """write(text): the path of a suite file."""

    def to_file(text: str) -> Path:
        path = tmp_path / "suite.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


@pytest.fixture
def suite(host: Host, write: Callable[[str], Path]) -> Callable[..., Suite]:
    """suite(text, profile=None, environ={}): a valid suite."""

    def read(text: str, profile: str | None = None, **environ: str) -> Suite:
        return read_suite(write(text), host, profile, environ)

    return read


@pytest.fixture
def plan(suite: Callable[..., Suite]) -> Callable[..., Plan]:
    """plan(text): what a suite measures."""
    return lambda text, *arguments: make_plan(suite(text, *arguments))


@pytest.fixture
def mistakes(plan: Callable[..., Plan]) -> Callable[..., list[tuple[int | None, str, str]]]:
    """mistakes(text): (line, key path, message) of every problem of a suite; [] when it is valid."""

    def find(text: str, *arguments: str) -> list[tuple[int | None, str, str]]:
        from harness.errors import format_path

        try:
            plan(text, *arguments)
        except SuiteError as error:
            return [(problem.line, format_path(problem.path), problem.message) for problem in error.problems]
        return []

    return find
