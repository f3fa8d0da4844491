"""Rewrites what the pages quote from the code: command help, keys of a suite, parameters of plugins, result records.

A page marks such a place with `<!-- KIND ARGUMENT -->` and `<!-- end -->`. Run `python docs/generate.py` after a
change of the code; the tests fail while a page is out of date.

    <!-- help -->                              the help of every command
    <!-- fields package.module:Model -->       the fields of a pydantic model
    <!-- params ROLE NAME -->                  summary and parameters of a plugin's declaration
    <!-- gradients -->                         the operators that can be differentiated, by family
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

DOCS = Path(__file__).parent
WIDTH = 100
_BLOCK = re.compile(r"(<!-- (help|fields|params|gradients)([^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewritten(page: str) -> str:
    """The page with all of its generated blocks made anew."""
    makers = {"help": help_block, "fields": fields_block, "params": params_block,
              "gradients": gradients_block}
    return _BLOCK.sub(lambda match: f"{match[1]}\n{makers[match[2]](*match[3].split())}\n{match[4]}", page)


def help_block() -> str:
    """Sections with the --help text of the command line, group by group."""
    from harness.cli import cli

    return "\n".join(_help(cli, "harness", None))


def _help(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    settings = {**command.context_settings, "max_content_width": WIDTH, "terminal_width": WIDTH}
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent, **settings)
    level = "#" * (len(path.split()) + 1)
    yield f"{level} {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _help(child, f"{path} {name}", context)


def fields_block(target: str) -> str:
    """A table of the fields of a pydantic model, addressed as package.module:Model."""
    module, _, name = target.partition(":")
    return _fields(getattr(importlib.import_module(module), name))


def params_block(role: str, name: str) -> str:
    """Summary and parameters of a declaration that an installed plugin makes."""
    from harness.host import Host
    from harness.specs import Spec

    spec = next(spec for spec in Host.discover().specs(Spec) if (spec.role, spec.name) == (role, name))
    return f"{spec.summary}\n\n" + (_fields(spec.params) if spec.params.model_fields else "No parameters.\n")


def gradients_block() -> str:
    """A table of the operators with a gradient rule; families are modules, named by their docstrings."""
    from harness.onnx.gradient import standard_rules

    families: dict[str, list[str]] = {}
    for (domain, operator), rule in standard_rules().table.items():
        families.setdefault(rule.__module__, []).append(f"{domain}.{operator}" if domain else operator)
    rows = [f"| {_family(module)} | {', '.join(f'`{name}`' for name in sorted(operators))} |"
            for module, operators in sorted(families.items())]
    return "\n".join(["| family | operators |", "|---|---|", *rows]) + "\n"


def _family(module: str) -> str:
    first = (importlib.import_module(module).__doc__ or module).splitlines()[0]
    return re.split(r"[:,.]", re.sub(r"^(Rules|The rule) of ", "", first))[0]


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in schema["properties"].items():
        default = "required" if key in required else _default(field)
        meaning = " ".join(field.get("description", "").split())
        lines.append(f"| `{key}` | {_type(field, schema.get('$defs', {}))} | {default} | {meaning} |")
    return "\n".join(line.replace("\\", "\\\\") for line in lines) + "\n"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None or default in ([], {}):
        return ""
    text = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
    return f"`{text}`"


def _type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if "const" in field or "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field or "oneOf" in field:
        kinds = [_type(each, definitions) for each in field.get("anyOf", field.get("oneOf"))]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if field.get("type") == "array":
        return _array_type(field, definitions)
    if field.get("format") == "path":
        return "path"
    return {"object": "table", "boolean": "bool", None: "any"}.get(field.get("type"), str(field.get("type")))


def _array_type(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    items = field.get("prefixItems")
    if items:
        return "[" + ", ".join(_type(item, definitions) for item in items) + "]"
    return f"list of {_type(field.get('items', {}), definitions)}"


def main() -> None:
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(rewritten(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
