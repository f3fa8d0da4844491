"""Finding plugins and loading each in isolation: one that is broken becomes a record, never the end of the program."""

from __future__ import annotations

import importlib.metadata
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import HandledError
from harness.specs import API_FLOOR, API_VERSION, Provider, Spec

GROUP = "harness"
OWN_DISTRIBUTION = "vision-harness"
THIRD_PARTY = "third-party"
ALL = "all"

FAULTS = (Exception, SystemExit)
"""What a plugin may raise without ending the program; an interrupt is the user's."""

Phase = Literal["load", "api", "register", "hooks"]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in one phase of a plugin's life. traceback: "" where the message says it all."""

    phase: Phase
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, phase: Phase, error: BaseException) -> Failure:
        text = "" if isinstance(error, HandledError) else "".join(traceback.format_exception(error))
        return cls(phase, f"{type(error).__name__}: {error}", text)


@dataclass(frozen=True, slots=True)
class PluginRecord:
    """All that is known about one plugin. status: failed when any phase failed; what did load is still usable."""

    provider: Provider
    value: str
    status: Literal["ok", "failed", "disabled"] = "ok"
    load_ms: float = 0.0
    hooks: tuple[str, ...] = ()
    specs: tuple[Spec, ...] = ()
    failures: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.provider.plugin

    @property
    def first_party(self) -> bool:
        return self.provider.distribution == OWN_DISTRIBUTION

    def failed(self, failure: Failure) -> PluginRecord:
        return replace(self, status="failed", failures=(*self.failures, failure))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry point before it is loaded."""

    provider: Provider
    value: str
    load: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Disabled:
    """Which plugins are switched off, decided before anything is loaded: names of plugins or distributions."""

    names: frozenset[str] = frozenset()

    @classmethod
    def read(cls, options: Iterable[str], environ: Mapping[str, str]) -> Disabled:
        listed = [*options, *environ.get("HARNESS_DISABLE_PLUGINS", "").split(",")]
        return cls(frozenset(name.strip() for name in listed if name.strip()))

    def covers(self, provider: Provider) -> bool:
        if ALL in self.names or {provider.plugin, provider.distribution} & self.names:
            return True
        return THIRD_PARTY in self.names and provider.distribution != OWN_DISTRIBUTION

    def unknown(self, providers: Iterable[Provider]) -> list[str]:
        """Names that switch nothing off: probably misspelt."""
        known = {ALL, THIRD_PARTY}.union(*({p.plugin, p.distribution} for p in providers))
        return sorted(self.names - known)


def installed() -> list[Candidate]:
    """The entry points of all installed distributions, by distribution and name, so that the order is stable."""
    found = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        distribution = entry.dist.name if entry.dist else "?"
        version = entry.dist.version if entry.dist else "?"
        found.append(Candidate(Provider(entry.name, distribution, version), entry.value, entry.load))
    return sorted(found, key=lambda c: (c.provider.distribution != OWN_DISTRIBUTION, str(c.provider)))


def load(candidate: Candidate) -> tuple[PluginRecord, object | None]:
    """The record of a plugin and its module or object; None when it could not be loaded or is too old or new."""
    record = PluginRecord(candidate.provider, candidate.value)
    started = time.perf_counter()
    try:
        plugin = candidate.load()
        problem = _api_problem(getattr(plugin, "harness_api", API_VERSION))
    except FAULTS as error:
        return record.failed(Failure.of("load", error)), None
    record = replace(record, load_ms=(time.perf_counter() - started) * 1e3)
    return (record.failed(Failure("api", problem)), None) if problem else (record, plugin)


def _api_problem(declared: object) -> str | None:
    if isinstance(declared, int) and API_FLOOR <= declared <= API_VERSION:
        return None
    span = str(API_VERSION) if API_FLOOR == API_VERSION else f"{API_FLOOR} to {API_VERSION}"
    return f"declares harness_api = {declared!r}; this host supports {span}"
