"""A suite file as data: TOML, a profile merged in, environment variables expanded, and where each key stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import Problem, SuiteError, UsageError, did_you_mean, one_of
from harness.locate import KeyPath, Locations

_VARIABLE = re.compile(
    r"\$(?P<escaped>\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\$\{)"
)
_TOML_POSITION = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


@dataclass(slots=True)
class Source:
    """data: the merged and expanded TOML; problems: what was wrong so far; more are added by the reader."""

    path: Path
    data: dict[str, Any]
    locations: Locations
    origins: dict[KeyPath, KeyPath] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, message: str, exit_code: int = 2) -> None:
        """Note a mistake at a key path; a key that came from a profile is located there."""
        self.problems.append(Problem(self.path, self.line(path), self.original(path), message, exit_code))

    def line(self, path: KeyPath) -> int | None:
        """The line in the file of a key path in the merged data."""
        return self.locations.line(self.original(path))

    def original(self, path: KeyPath) -> KeyPath:
        """The key path in the file of a key path in the merged data."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + path[length:]
        return path


def load(path: Path, profile: str | None = None, environ: Mapping[str, str] | None = None) -> Source:
    """Read a suite file as far as it can be read without knowing what its keys mean.

    Raises UsageError when the file can not be read, SuiteError when it is not TOML or the profile is unknown.
    """
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError([_syntax_problem(path, str(error), text)]) from None
    source = Source(path, data, Locations.of(text))
    profiles = data.pop("profiles", {})
    if profile is not None:
        _apply_profile(source, profiles, profile)
    source.data = _expand(source, source.data, (), os.environ if environ is None else environ)
    return source


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = [file.name for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, near) or "; `harness init` writes a starter suite"
        raise UsageError(f"{path}: no such suite file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can not be read: {error}") from None


def _syntax_problem(path: Path, message: str, text: str) -> Problem:
    position = _TOML_POSITION.search(message)
    line = int(position[1]) if position else len(text.splitlines()) or 1
    column = f" (column {position[2]})" if position else " (at the end of the file)"
    what = _TOML_POSITION.sub("", message).removesuffix(" (at end of document)")
    return Problem(path, line, (), f"not valid TOML: {what}{column}")


def _apply_profile(source: Source, profiles: Any, name: str) -> None:
    if not isinstance(profiles, dict) or not isinstance(profiles.get(name), dict):
        known = profiles if isinstance(profiles, dict) else {}
        raise SuiteError([Problem(source.path, source.locations.line(("profiles",)), ("profiles",),
                                  f'there is no profile "{name}"{did_you_mean(name, known)} (known: {one_of(known)})')])
    source.data = _merge(source.data, profiles[name], (), ("profiles", name), source.origins)


def _merge(base: dict[str, Any], over: dict[str, Any], path: KeyPath, origin: KeyPath,
           origins: dict[KeyPath, KeyPath]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merge(old, value, (*path, key), (*origin, key), origins)
        else:
            merged[key] = value
            origins[*path, key] = (*origin, key)
    return merged


def _expand(source: Source, value: Any, path: KeyPath, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _expand(source, item, (*path, key), environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(source, item, (*path, index), environ) for index, item in enumerate(value)]
    return _expand_text(source, value, path, environ) if isinstance(value, str) else value


def _expand_text(source: Source, text: str, path: KeyPath, environ: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["bad"]:
            source.problem(path, 'expected "${NAME}" or "${NAME:-default}"; write "$${" for a literal "${"')
            return match[0]
        value = environ.get(match["name"]) or match["default"]
        if value is None:
            state = "empty" if match["name"] in environ else "not set"  # "${NAME}/data" must not become "/data"
            source.problem(path, f'the environment variable {match["name"]} is {state}; set it, or give a default: '
                                 f'"${{{match["name"]}:-default}}"')
            return match[0]
        return value

    return _VARIABLE.sub(replace, text)
