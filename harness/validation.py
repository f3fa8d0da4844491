"""Pydantic's errors in the words of a suite's author."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from harness.errors import did_you_mean, one_of

KeyPath = tuple[str | int, ...]


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
        path = _real_path(detail["loc"], data)
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "extra_forbidden":
            known = [*_fields(model, path[:-1]), *(also if len(path) == 1 else ())]
            yield path, f"unknown key{did_you_mean(str(path[-1]), known)} (known: {one_of(known)})"
        elif kind == "missing":
            yield path, "is required"
        elif kind == "value_error":
            yield path, str(context.get("error", detail["msg"]))
        elif kind in ("literal_error", "union_tag_invalid"):
            expected = str(context.get("expected") or context.get("expected_tags"))
            names = [name.strip("' ") for name in expected.replace(" or ", ", ").split(",")]
            given = context.get("tag", detail["input"])
            yield path, f'"{given}" is not one of {", ".join(names)}{did_you_mean(str(given), names)}'
        elif kind == "union_tag_not_found":
            yield path, f"needs the key {context.get('discriminator')}"
        else:
            yield path, f"{_lower(detail['msg'])} (it is {_shown(detail['input'])})"


def _real_path(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Pydantic's location without the parts that are no keys: names of union members and validators."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            if not (isinstance(data, dict) and index == len(loc) - 1):
                continue  # not a key; at the end of a table it is one that is missing
        path.append(part)
    return tuple(path)


def _fields(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Field names of the model at a path of nested models; empty where that is not a plain model."""
    for part in path:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        arguments = [annotation, *getattr(annotation, "__args__", ())]
        nested = [each for each in arguments if isinstance(each, type) and issubclass(each, BaseModel)]
        if len(nested) != 1:
            return []
        model = nested[0]
    return list(model.model_fields)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
