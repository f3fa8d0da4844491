"""Plugins and their declarations as plain data, for `harness plugins` and the documentation."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from harness.discovery import PluginRecord
from harness.host import Host
from harness.specs import MetricSpec, Spec


class PluginProblem(NamedTuple):
    """What is wrong with a plugin, and the way out. fatal: what it declares can not be used."""

    subject: str
    message: str
    fix: str = ""
    fatal: bool = True


def plugin_problems(host: Host) -> list[PluginProblem]:
    """Failed plugins, ambiguous names, then warnings."""
    found = [PluginProblem(f"plugin {record.provider}", f"failed ({failure.phase}): {failure.message}",
                           f"repair or uninstall {record.provider.distribution}, or --no-plugins={record.name}")
             for record, failure in host.failures]
    found += [PluginProblem(f'{specs[0].role} "{specs[0].name}"',
                            f"declared by {' and by '.join(str(spec.provider) for spec in specs)}",
                            "disable one of them with --no-plugins=NAME") for specs in host.duplicates()]
    return found + [PluginProblem(f"plugin {record.provider}", warning, fatal=False) for record in host.plugins
                    for warning in record.warnings]


def plugin_facts(record: PluginRecord) -> dict[str, Any]:
    """One plugin; JSON-able."""
    return {
        "title": f"plugin {record.name}", "name": record.name, "distribution": record.provider.distribution,
        "version": record.provider.version, "entry_point": record.value, "status": record.status,
        "load_ms": round(record.load_ms, 2), "hooks": list(record.hooks),
        "provides": [f"{spec.role} {spec.name}" for spec in record.specs], "warnings": list(record.warnings),
        "failures": [{"phase": failure.phase, "message": failure.message, "traceback": failure.traceback}
                     for failure in record.failures],
    }


def spec_facts(spec: Spec) -> dict[str, Any]:
    """One declaration with its parameters; JSON-able."""
    facts: dict[str, Any] = {"title": f"{spec.role} {spec.name}", "role": spec.role, "name": spec.name,
                             "summary": spec.summary, "provider": str(spec.provider)}
    for name, value in vars(spec).items():
        if name not in (*facts, "params", "factory", "locate", "recipe"):
            facts[name] = sorted(value) if isinstance(value, frozenset) else value
    if isinstance(spec, MetricSpec):
        facts["direction"] = "higher is better" if facts.pop("higher_is_better") else "lower is better"
        facts["range"] = f"{spec.range[0]:g} to {spec.range[1]:g}"
    facts["params"] = {name: _param(field) for name, field in spec.params.model_fields.items()}
    return facts


def _param(field: FieldInfo) -> dict[str, Any]:
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return {"type": _type_text(field.annotation), "required": field.is_required(),
            "default": default if isinstance(default, bool | int | float | str | None) else str(default),
            "description": field.description or ""}


def _type_text(annotation: Any) -> str:
    """A type as a suite's author thinks of it: without validators and module names."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_text(arguments[0])
    if origin is Literal:
        return " | ".join(repr(value) for value in arguments)
    if origin in (Union, UnionType):
        return " | ".join(_type_text(argument) for argument in arguments)
    if arguments:
        inner = ", ".join("..." if argument is ... else _type_text(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inner}]"
    return "none" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))
