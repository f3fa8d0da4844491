"""The host: discovers plugins, keeps a registry of what they declare, creates what a suite asks for."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pluggy

from harness import discovery, hookcheck, hookspecs
from harness.contracts import RunContext
from harness.discovery import FAULTS, Candidate, Disabled, Failure, PluginRecord
from harness.errors import HandledError, PluginError, UsageError, did_you_mean, one_of
from harness.specs import Provider, Role, Spec

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What is needed to build the same host in another process."""

    disabled: Disabled = field(default_factory=Disabled)


class Host:
    """All plugins of this process. Passed along, never a global."""

    def __init__(self, candidates: Sequence[Candidate], config: HostConfig) -> None:
        self.config = config
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        if os.environ.get("HARNESS_TRACE_PLUGINS"):
            self._manager.trace.root.setwriter(lambda text: print(text, end="", file=sys.stderr))  # noqa: T201
            self._manager.enable_tracing()
        self.plugins = tuple(self._add(candidate) for candidate in candidates)
        self.warnings = tuple(
            f'--no-plugins / HARNESS_DISABLE_PLUGINS: no plugin or distribution is called "{name}"'
            + did_you_mean(name, [c.provider.plugin for c in candidates])
            for name in config.disabled.unknown(c.provider for c in candidates)
        )
        self._registry: dict[tuple[Role, str], list[Spec]] = defaultdict(list)
        for record in self.plugins:
            for spec in record.specs:
                self._registry[spec.role, spec.name].append(spec)

    @classmethod
    def discover(cls, config: HostConfig | None = None) -> Host:
        """All installed plugins but the disabled ones. Never raises because of a plugin."""
        if config is None:
            config = HostConfig(Disabled.read((), os.environ))
        return cls(discovery.installed(), config)

    @classmethod
    def of(cls, *plugins: object) -> Host:
        """Only the given modules or objects; for tests."""
        return cls([_candidate(plugin) for plugin in plugins], HostConfig())

    # --- registry ----------------------------------------------------------------------------------------------------

    def specs(self, kind: type[S]) -> list[S]:
        """All declarations of one kind, by name; ambiguous names appear once per provider."""
        found = [spec for specs in self._registry.values() for spec in specs if isinstance(spec, kind)]
        return sorted(found, key=lambda spec: (spec.name, str(spec.provider)))

    def names(self, role: Role) -> list[str]:
        return sorted(name for found, name in self._registry if found == role)

    def spec(self, kind: type[S], name: str) -> S:
        """The one declaration with this name.

        Raises PluginError when no plugin or more than one declares it; `Host.may_be_broken` tells whether a plugin
        that failed could have.
        """
        found = self._registry.get((kind.role, name), [])
        if len(found) == 1 and isinstance(found[0], kind):
            return found[0]
        if found:
            claims = " and ".join(str(spec.provider) for spec in found)
            raise PluginError(f'two plugins declare the {kind.role} "{name}": {claims}; '
                              f"disable one with --no-plugins=NAME")
        known = self.names(kind.role)
        message = f'no plugin provides the {kind.role} "{name}"{did_you_mean(name, known)} (known: {one_of(known)})'
        raise PluginError(message + self._broken_note())

    def chosen(self, kind: type[S], name: str, option: str) -> S:
        """The declaration that is named by an option of the command line.

        Raises UsageError when there is none, PluginError when that may be the fault of plugins.
        """
        try:
            return self.spec(kind, name)
        except PluginError as error:
            if self.may_be_broken(kind, name):
                raise
            raise UsageError(f"{option}: {error}") from None

    @property
    def failures(self) -> list[tuple[PluginRecord, Failure]]:
        return [(record, failure) for record in self.plugins for failure in record.failures]

    def may_be_broken(self, kind: type[Spec], name: str) -> bool:
        """Whether a missing or ambiguous declaration is the fault of plugins rather than of the suite."""
        suspicious = any(record.failures or record.warnings for record in self.plugins)
        return bool(self._registry.get((kind.role, name))) or suspicious

    def duplicates(self) -> list[list[Spec]]:
        return [specs for specs in self._registry.values() if len(specs) > 1]

    def require(self, pins: Sequence[str]) -> list[str]:
        """Problems with the plugins that a suite names: valid requirements like "distribution>=1.2"."""
        from packaging.requirements import Requirement

        requirements = map(Requirement, pins)
        return [problem for requirement in requirements
                for problem in _pin_problems(requirement.name, requirement.specifier, self.plugins)]

    def _broken_note(self) -> str:
        notes = [f"plugin {record.provider} failed ({failure.phase}): {failure.message}"
                 for record, failure in self.failures]
        # An unmarked or misspelt hook is no failure of its plugin, but may be why something is missing.
        notes += [f"plugin {record.provider}: {warning}" for record in self.plugins for warning in record.warnings]
        if off := [record.name for record in self.plugins if record.status == "disabled"]:
            notes.append(f"switched off by --no-plugins or HARNESS_DISABLE_PLUGINS: {one_of(off)}")
        return "".join(f"\n    {note}" for note in notes)

    # --- lifecycle ---------------------------------------------------------------------------------------------------

    def notify(self, hook: str, context: RunContext) -> list[str]:
        """Call a lifecycle hook of every plugin; an exception becomes a message, the others are still called."""
        messages = []
        for record in self.plugins:
            if hook in record.hooks:
                try:
                    self._call_one(record, hook, context=context)
                except FAULTS as error:
                    messages.append(f"plugin {record.provider}: {hook} failed: {type(error).__name__}: {error}")
        return messages

    # --- loading -----------------------------------------------------------------------------------------------------

    def _add(self, candidate: Candidate) -> PluginRecord:
        if self.config.disabled.covers(candidate.provider):
            return PluginRecord(candidate.provider, candidate.value, status="disabled")
        record, plugin = discovery.load(candidate)
        if plugin is None:
            return record
        started = time.perf_counter()
        try:
            record = self._register(record, plugin)
        except FAULTS as error:  # looking at a plugin runs its code
            record = record.failed(Failure.of("register", error))
        return replace(record, load_ms=record.load_ms + (time.perf_counter() - started) * 1e3)

    def _register(self, record: PluginRecord, plugin: object) -> PluginRecord:
        if problem := hookcheck.registration_problem(plugin):
            return record.failed(Failure("register", problem))
        self._manager.register(plugin, name=_key(record.provider))
        hooks = tuple(name for name in hookcheck.marked_hooks(plugin) if name in hookcheck.HOOKS)
        record = replace(record, hooks=hooks, warnings=tuple(hookcheck.warnings(plugin)))
        for hook in hooks:
            if hook in hookcheck.SPEC_HOOKS:
                record = self._collect(record, hook)
        return record

    def _collect(self, record: PluginRecord, hook: str) -> PluginRecord:
        try:
            returned = self._call_one(record, hook)
            specs = [spec for each in returned for spec in hookcheck.checked_specs(hook, each)]
        except FAULTS as error:
            return record.failed(Failure.of("hooks", error))
        stamped = tuple(replace(spec, provider=record.provider) for spec in specs)
        return replace(record, specs=record.specs + stamped)

    def _call_one(self, record: PluginRecord, hook: str, **arguments: Any) -> list[Any]:
        own = self._manager.get_plugin(_key(record.provider))
        others = [plugin for plugin in self._manager.get_plugins() if plugin is not own]
        result: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        return result


def create(spec: Spec, params: Any) -> Any:
    """Import a declaration's factory and call it with the validated params.

    Raises what the factory raises when it is a HandledError, PluginError otherwise.
    """
    return call(spec, spec.factory, params)


def default_params(spec: Spec) -> Any:
    """A declaration's params when nothing is given. Raises UsageError when some are required."""
    required = [name for name, info in spec.params.model_fields.items() if info.is_required()]
    if required:
        raise UsageError(f'{spec.role} "{spec.name}" needs {", ".join(required)}: name it in the suite, in a table '
                         "with these keys")
    return spec.params()


def call(spec: Spec, target: str, *arguments: Any) -> Any:
    """Import "package.module:attribute" on behalf of a declaration and call it."""
    try:
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)(*arguments)
    except HandledError:
        raise
    except FAULTS as error:
        raise PluginError(f'{spec.role} "{spec.name}" of plugin {spec.provider} can not be created: '
                          f"{type(error).__name__}: {error}") from error


@contextmanager
def blame(spec: Spec) -> Iterator[None]:
    """Add "in plugin X 1.2" to whatever is raised inside."""
    try:
        yield
    except Exception as error:
        note = f'in {spec.role} "{spec.name}" of plugin {spec.provider}'
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def _pin_problems(name: str, specifier: Any, plugins: Sequence[PluginRecord]) -> list[str]:
    from packaging.utils import canonicalize_name

    wanted = canonicalize_name(name)
    records = [record for record in plugins if canonicalize_name(record.provider.distribution) == wanted]
    if not records:
        known = {record.provider.distribution for record in plugins}
        return [f'the plugin distribution "{name}" is not installed{did_you_mean(name, known)}']
    problems = [f"plugin {record.provider} failed ({failure.phase}): {failure.message}"
                for record in records for failure in record.failures]
    problems += [f"plugin {record.provider} is disabled" for record in records if record.status == "disabled"]
    version = records[0].provider.version
    if not specifier.contains(version, prereleases=True):
        problems.append(f"{name} {version} is installed, the suite asks for {specifier}")
    return problems


def _key(provider: Provider) -> str:
    return f"{provider.distribution}:{provider.plugin}"


def _candidate(plugin: object) -> Candidate:
    name = getattr(plugin, "__name__", type(plugin).__name__)
    return Candidate(Provider(name, name, "0"), name, lambda: plugin)

