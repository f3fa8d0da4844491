"""Predictions and metric rows by content: a new metric costs no new forward pass."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.files import write_text
from harness.table import Table

IDS = "sample id"
"""Column of stored predictions that holds the ids; it can not be the name of a task's output."""


def default_folder(environ: Mapping[str, str]) -> Path:
    """HARNESS_CACHE_DIR, or the user's cache folder."""
    if environ.get("HARNESS_CACHE_DIR"):
        return Path(environ["HARNESS_CACHE_DIR"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("vision-harness"))


def cache_folder() -> Path:
    """Where files are kept that can be made again."""
    return default_folder(os.environ)


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of tables and facts by hash. enabled False: nothing is read, everything is written (`--fresh`)."""

    folder: Path
    enabled: bool = True

    def table(self, kind: str, key: str) -> Table | None:
        """A stored table, None when absent or damaged: a cache may always be lost."""
        if not self.enabled:
            return None
        try:
            return Table.load(self._path(kind, key, ".npz"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def store_table(self, kind: str, key: str, table: Table) -> None:
        table.save(self._path(kind, key, ".npz"))

    def facts(self, kind: str, key: str) -> dict[str, Any] | None:
        """Facts stored beside a table."""
        if not self.enabled:
            return None
        try:
            facts = json.loads(self._path(kind, key, ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None

    def store_facts(self, kind: str, key: str, facts: Mapping[str, Any]) -> None:
        write_text(self._path(kind, key, ".json"), json.dumps(facts))

    def _path(self, kind: str, key: str, suffix: str) -> Path:
        return self.folder / kind / key[:2] / f"{key}{suffix}"
