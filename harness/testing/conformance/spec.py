"""Declarations: complete, unambiguous, and their factory can be found."""

from __future__ import annotations

import importlib
import re
from typing import Any

from harness import host
from harness.specs import DatasetSpec, MetricSpec, ModelSpec, Spec
from harness.tasks import TASKS
from harness.testing.conformance.expect import expect

_REQUIREMENTS = {"boxes", "mask", "saliency", "predict", "explain", "model"}


def create(spec: Spec, **params: Any) -> Any:
    """What the host does: validate the parameters, import the factory, call it.

    Raises pydantic.ValidationError for parameters that the spec's model refuses, PluginError or another HandledError
    when the factory fails.
    """
    return host.create(spec, spec.params(**params))


def resolve(target: str) -> Any:
    """The object behind "package.module:attribute". Raises ImportError or AttributeError when there is none."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def check_spec(spec: Spec) -> None:
    """Name, one-line summary, described parameters, known tasks and requirements, a factory that can be imported."""
    who = f'{spec.role} "{spec.name}"'
    expect(spec.provider is None, f"{who}: the host stamps the provider, a plugin leaves it None")
    expect(re.fullmatch(r"[a-z0-9][a-z0-9+._-]*", spec.name) or spec.role == "gradient-rule",
           f"{who}: a name is lower case with dashes")
    expect(spec.summary and "\n" not in spec.summary, f"{who}: the summary must be one line")
    for name, field in spec.params.model_fields.items():
        expect(field.description, f"{who}: parameter {name} has no docstring")
    for target in _targets(spec):
        expect(callable(resolve(target)), f"{who}: {target} is not callable")
    _check_vocabulary(spec, who)


def _targets(spec: Spec) -> list[str]:
    """Of a model only `locate`: its factory may need torch."""
    return [spec.locate] if isinstance(spec, ModelSpec) else [spec.factory]


def _check_vocabulary(spec: Spec, who: str) -> None:
    tasks: set[str] = set()
    if isinstance(spec, MetricSpec):
        tasks = set(spec.tasks)
        expect(tasks, f"{who}: applies to no task")
        expect(spec.requires <= _REQUIREMENTS, f"{who}: unknown requirements {sorted(spec.requires - _REQUIREMENTS)}")
        expect(spec.worst is None or spec.range[0] <= spec.worst <= spec.range[1], f"{who}: worst is out of range")
    elif isinstance(spec, DatasetSpec):
        tasks = {spec.task}
        expect(spec.provides <= {"boxes", "mask"}, f"{who}: provides {sorted(spec.provides)}")
    elif isinstance(spec, ModelSpec) and spec.task:
        tasks = {spec.task}
    expect(tasks <= set(TASKS), f"{who}: unknown tasks {sorted(tasks - set(TASKS))}")
