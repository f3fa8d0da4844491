"""Pytest fixtures for plugin authors: `pytest_plugins = ["harness.testing.fixtures"]` in conftest.py."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.host import Host

HostFactory = Callable[..., Host]


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin that `tmp_plugin` made: one module and the metadata of an installed distribution.

    folder: what must be on the path to find it.
    """

    name: str
    distribution: str
    version: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """os.environ with the folder in front of PYTHONPATH: for subprocesses."""
        paths = [str(self.folder), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def harness_host() -> HostFactory:
    """harness_host(*plugins): a host that knows exactly these modules or objects; nothing installed is discovered."""
    return Host.of


@pytest.fixture
def tmp_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., InstalledPlugin]]:
    """tmp_plugin(source, name="acme", version="1.0", entry=None): install a plugin for the duration of a test.

    source: Python source of one module, dedented; it is called `<name>_plugin`. entry: value of the entry point, by
    default that module. Importable in this process, and in subprocesses through `environment`.
    """
    modules: list[str] = []

    def install(source: str, *, name: str = "acme", version: str = "1.0", entry: str | None = None) -> InstalledPlugin:
        folder, module = tmp_path / "site-packages", f"{name.replace('-', '_')}_plugin"
        write_plugin(folder, module, source, name=name, version=version, entry=entry or module)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        modules.append(module)
        return InstalledPlugin(name, f"{name}-harness", version, folder)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


def write_plugin(folder: Path, module: str, source: str, *, name: str, version: str, entry: str) -> None:
    """Write a module and the metadata of a distribution `<name>-harness` with one entry point, as pip would."""
    metadata = folder / f"{name.replace('-', '_')}_harness-{version}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.3\nName: {name}-harness\nVersion: {version}\n", "utf-8")
    (metadata / "entry_points.txt").write_text(f"[harness]\n{name} = {entry}\n", "utf-8")
