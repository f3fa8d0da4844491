"""Mistakes that plugin systems usually swallow: unmarked, misspelt or mismatched hooks, classes for instances."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, cast

from pydantic import BaseModel

from harness import hookspecs
from harness.errors import PluginError, did_you_mean
from harness.specs import (
    BackendSpec,
    DatasetSpec,
    ExecutorSpec,
    GradientRuleSpec,
    MetricSpec,
    ModelSpec,
    ReporterSpec,
    SaliencySpec,
    ScenarioSpec,
    Spec,
)

SPEC_HOOKS: Mapping[str, type[Spec]] = {
    "harness_datasets": DatasetSpec,
    "harness_models": ModelSpec,
    "harness_saliency": SaliencySpec,
    "harness_metrics": MetricSpec,
    "harness_backends": BackendSpec,
    "harness_scenarios": ScenarioSpec,
    "harness_executors": ExecutorSpec,
    "harness_reporters": ReporterSpec,
    "harness_gradient_rules": GradientRuleSpec,
}
LIFECYCLE_HOOKS = ("harness_run_started", "harness_cell_finished", "harness_run_finished")
HOOKS = (*SPEC_HOOKS, *LIFECYCLE_HOOKS)

_MARK = f"{hookspecs.PROJECT}_impl"
_NOT_HOOKS = {"harness_api"}
_NAME = re.compile(r"[a-z0-9][a-z0-9+._-]*")


def marked_hooks(plugin: object) -> dict[str, Any]:
    """The functions of a plugin that carry the @hookimpl mark, by the hook they implement."""
    found = {}
    for name, member in _callables(plugin).items():
        options = getattr(member, _MARK, None)
        if options is not None:
            found[options.get("specname") or name] = member
    return found


def registration_problem(plugin: object) -> str | None:
    """Why a plugin must not be registered, or None."""
    if inspect.isclass(plugin):
        return (f"the entry point names the class {plugin.__name__}; hooks need an instance: "
                f"let it name a module, or an object made with {plugin.__name__}()")
    for name, function in marked_hooks(plugin).items():
        if name in HOOKS and (problem := _argument_problem(name, function)):
            return problem
    return None


def warnings(plugin: object) -> list[str]:
    """What a plugin author would want to know: unmarked hooks, hooks that do not exist, no hook at all."""
    marked = marked_hooks(plugin)
    found = [f"{name}: no such hook{_suggest(name)}" for name in marked if name not in HOOKS]
    for name in _callables(plugin):
        if name.startswith("harness_") and name not in marked and name not in _NOT_HOOKS:
            known = "is not marked with @hookimpl and is ignored" if name in HOOKS else "is no hook and is ignored"
            found.append(f"{name} {known}{'' if name in HOOKS else _suggest(name)}")
    if not any(name in HOOKS for name in marked):
        found.append("implements no hook of harness")
    return found


def spec_problem(hook: str, spec: object) -> str | None:
    """Why a declaration that a hook returned is unusable, or None."""
    expected = SPEC_HOOKS[hook]
    if inspect.isclass(spec):
        return f"{hook} returned the class {spec.__name__}, expected an instance of {expected.__name__}"
    if not isinstance(spec, expected):
        return f"{hook} returned a {type(spec).__name__}, expected a {expected.__name__}"
    if not isinstance(spec, GradientRuleSpec) and not _NAME.fullmatch(spec.name):
        return f'{hook}: the name "{spec.name}" must be lower case letters, digits and any of "-", "+", "_", "."'
    params: object = spec.params
    if not (inspect.isclass(params) and issubclass(params, BaseModel)):
        return f'{hook}: params of "{spec.name}" must be a subclass of harness.api.Params'
    targets = [spec.factory]
    if isinstance(spec, ModelSpec):  # it always has a file, but not always a way to train it
        targets = [target for target in (spec.locate, spec.factory) if target]
    bad = next((target for target in targets if target.count(":") != 1), None)
    return None if bad is None else f'{hook}: "{bad}" of "{spec.name}" must have the form "package.module:attribute"'


def checked_specs(hook: str, returned: object) -> list[Spec]:
    """The declarations of one hook call. Raises PluginError for the first unusable one."""
    if isinstance(returned, Spec) or inspect.isclass(returned):
        raise PluginError(f"{hook} must return a list of specs, not a single one")
    specs: list[Spec] = list(cast("Iterable[Spec]", returned))
    for spec in specs:
        if problem := spec_problem(hook, spec):
            raise PluginError(problem)
    return specs


def _callables(plugin: object) -> dict[str, Any]:
    members = {name: getattr(plugin, name, None) for name in dir(plugin) if not name.startswith("__")}
    return {name: member for name, member in members.items() if inspect.isroutine(member)}


def _argument_problem(name: str, function: Any) -> str | None:
    known = [p for p in inspect.signature(getattr(hookspecs, name)).parameters if p != "self"]
    for argument in inspect.signature(function).parameters:
        # Pluggy would silently accept an unknown argument that has a default, and never pass it.
        if argument != "self" and argument not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no argument"
            return f"{name} has an unknown argument {argument!r}: {takes}{did_you_mean(argument, known)}"
    return None


def _suggest(name: str) -> str:
    close = get_close_matches(name, HOOKS, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""
