"""Pydantic's errors in the words of a suite's author."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from harness.errors import did_you_mean, one_of
from harness.locate import KeyPath


def split(data: Mapping[str, Any], model: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of a table that are the suite's own, and those that are its plugin's."""
    own = {key: value for key, value in data.items() if key in model.model_fields}
    return own, {key: value for key, value in data.items() if key not in own}


def problems_of(error: ValidationError, model: type[BaseModel], data: Any,
                also: Iterable[str] = ()) -> Iterator[tuple[KeyPath, str]]:
    """(key path, message) of every error.

    also: further keys that are allowed beside the model's, for the suggestions.
    """
    for detail in error.errors(include_url=False):
        kind, context = detail["type"], detail.get("ctx", {})
        path = _real_path(detail["loc"], data, missing=kind == "missing")
        if kind == "extra_forbidden":
            known = [*_fields(model, path[:-1], data), *(also if len(path) == 1 else ())]
            listed = f" (known: {one_of(known)})" if known else ""
            yield path, f"unknown key{did_you_mean(str(path[-1]), known)}{listed}"
        elif kind == "missing":
            yield path, "is required"
        elif kind == "value_error":
            yield path, str(context.get("error", detail["msg"]))
        elif kind in ("literal_error", "union_tag_invalid"):
            expected = str(context.get("expected") or context.get("expected_tags"))
            names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
            given = context.get("tag", detail["input"])
            at = (*path, str(context["discriminator"]).strip("'")) if "discriminator" in context else path
            yield at, f'"{given}" is not one of {", ".join(names)}{did_you_mean(str(given), names)}'
        elif kind == "union_tag_not_found":
            yield path, f"needs the key {context.get('discriminator')}"
        else:
            yield path, f"{_in_toml(detail['msg'])} (it is {_shown(detail['input'])})"


def _real_path(loc: tuple[str | int, ...], data: Any, *, missing: bool) -> KeyPath:
    """Pydantic's location without the parts that are no keys: names of union members and validators."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if not (missing and index == len(loc) - 1):
                continue
        path.append(part)
    return tuple(path)


def _fields(model: type[BaseModel], path: KeyPath, data: Any) -> list[str]:
    """Field names of the model at a path of nested models; empty where that is not one model."""
    annotation: Any = model
    for part in path:
        data = data[part]
        if isinstance(part, str):
            field = model.model_fields.get(part)
            annotation = field.annotation if field else None
        nested = [each for each in _models(annotation) if _has_tags_of(each, data)]
        if len(nested) != 1:
            if isinstance(data, list):
                continue  # its items decide
            return []
        model = nested[0]
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """All models that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _has_tags_of(model: type[BaseModel], data: Any) -> bool:
    """Whether a table can be of this member of a union: every literal field has one of its values."""
    if not isinstance(data, dict):
        return False
    literals = {name: get_args(field.annotation) for name, field in model.model_fields.items()
                if field.is_required() and get_origin(field.annotation) is Literal}
    return all(data.get(name) in values for name, values in literals.items())


def _in_toml(message: str) -> str:
    """In lower case, with the words of TOML for Python's types."""
    return (message[:1].lower() + message[1:]).replace("tuple", "list").replace("dictionary", "table")


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
